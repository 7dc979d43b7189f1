// Leaves in mid-decision, so many milliseconds after the first token as the argument says.
import {openReply} from "./reply.mjs";

const reply = await openReply();
const onTextChunk = () => void setTimeout(() => process.exit(0), Number(process.argv[2]));
await reply({maxTokens: 400, onTextChunk});
process.exit(3);

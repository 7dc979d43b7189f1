/** The exact score of a reply in the demo's world, to try out `mara train` and `mara eval` with. */
import {type GuestPrompt, score} from "../demo/world.js";
import {type Reward, rewardOf} from "./reward.js";

/** 0 to 10. It needs the demo's prompts, whose reference says what the request is about. */
export function demo(): Reward {
    return rewardOf("demo", (prompt, response, {reference}) => {
        if (reference === undefined)
            throw new Error("it needs the prompts of the demo with their reference; name them demo too");
        return score({text: prompt, ...(JSON.parse(reference) as Omit<GuestPrompt, "text">)}, response).value;
    });
}

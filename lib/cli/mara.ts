#!/usr/bin/env node
import {Command} from "commander";
import {packageVersion} from "../package.js";
import {chatCommand} from "./chat.js";
import {convertCommand} from "./convert.js";
import {demoCommand} from "./demo.js";
import {doctorCommand} from "./doctor.js";
import {evalCommand} from "./eval.js";
import {reportWarningsBriefly, runToEnd} from "./failure.js";
import {inspectCommand} from "./inspect.js";
import {serveCommand} from "./serve.js";
import {statusCommand} from "./status.js";
import {trainCommand} from "./train.js";
import {workerCommand} from "./worker.js";

const examples = `
Examples:
  $ mara demo                       see a model aligned token by token, and the score
  $ mara chat --compare             talk to it, raw beside aligned
  $ mara serve                      make it available to every program that speaks to an OpenAI server
  $ mara train --help               make an agent of your own, from a reward
  $ mara eval --help                measure an agent, with a report
  $ mara worker --help              share the work among machines, by a queue
  $ mara doctor                     what works on this machine, and what to do if something does not

Every command has its own --help. Failures are one line on stderr and exit code 1; MARA_DEBUG=1 adds the stack.`;

const program = new Command("mara")
    .description("Align local language models token by token: accept/reject agents for node-llama-cpp")
    .version(packageVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    // An option belongs to the command that it follows: `train` and `train student` have some of the same name.
    .enablePositionalOptions()
    .addHelpText("after", examples);
const commands = [
    demoCommand,
    chatCommand,
    serveCommand,
    trainCommand,
    evalCommand,
    inspectCommand,
    convertCommand,
    doctorCommand,
    workerCommand,
    statusCommand
];
for (const create of commands) program.addCommand(create());
const withInner = (command: Command): Command[] => [command, ...command.commands.flatMap(withInner)];
for (const command of withInner(program))
    command
        .helpOption("-h, --help", "print this help")
        .exitOverride()
        .configureOutput({outputError: () => {}});

reportWarningsBriefly();
// A reader that stops reading, as `head` does, is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

if (process.argv.length <= 2) program.outputHelp();
else await runToEnd(() => program.parseAsync());

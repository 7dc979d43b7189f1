/**
 * The exact score of a reply in the demo's world, 0 to 10: `--reward module:demo/reward.mjs`, with the prompts in demo/prompts.
 * Their `reference` says what the request is about.
 */
import {score} from "../dist/demo/world.js";

export default function world(prompt, response, {reference}) {
    if (reference === undefined)
        throw new Error("The demo's reward needs the prompts of demo/prompts, with their reference");
    return score({text: prompt, ...JSON.parse(reference)}, response).value;
}

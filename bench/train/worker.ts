/** Our updates per second, on data like that of torch_worker.py. */
import {uniformFloat64} from "pure-rand/distribution/uniformFloat64";
import {xoroshiro128plus} from "pure-rand/generator/xoroshiro128plus";
import {Learner} from "../../lib/train/learner/learner.js";
import type {LearnerWork, UpdatesResult} from "./learner.js";

const {width, batch, rows, threads, seconds, warmUp} = JSON.parse(process.argv[2] as string) as LearnerWork;
const random = xoroshiro128plus(1);
const number = () => uniformFloat64(random) * 2 - 1;

using learner = new Learner({width, batchSize: batch, threads, targetEvery: 1});
learner.addTransitions({
    states: Float32Array.from({length: (rows + 1) * width}, number),
    state: Int32Array.from({length: rows}, (_, i) => i),
    action: Uint8Array.from({length: rows}, () => (number() > 0 ? 1 : 0)),
    reward: Float32Array.from({length: rows}, number),
    nextState: Int32Array.from({length: rows}, (_, i) => (i % 100 === 99 ? -1 : i + 1))
});
let entropy = 0;
for (let i = 0; i < warmUp; i++) ({entropy} = await learner.update(1));
const start = performance.now();
let count = 0;
while (count < 3 || performance.now() - start < seconds * 1000) {
    await learner.update(1);
    count++;
}
const updatesPerSecond = (count / (performance.now() - start)) * 1000;
console.log(JSON.stringify({updatesPerSecond, entropy, detail: learner.operations} satisfies UpdatesResult));

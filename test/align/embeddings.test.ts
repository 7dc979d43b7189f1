/** Rows of a model's token embeddings, against the values that gguf-py (0.17, numpy) dequantises from the same files. */
import {fileURLToPath} from "node:url";
import type {LlamaModel} from "node-llama-cpp";
import {describe, expect, it} from "vitest";
import {readEmbeddings} from "../../lib/align/node-llama-cpp/embeddings.js";
import {failure} from "../support/failure.js";
import {describeWithTestModel, loadTestModel, loadTinyModel, testLlama} from "../support/models.js";

interface Golden {
    tokens: number[];
    /** First four values of each row. */
    first: number[][];
    last: number[];
    sum: number[];
}

async function expectRows(model: LlamaModel, {tokens, first, last, sum}: Golden): Promise<void> {
    const values = await readEmbeddings(model, tokens);
    const width = model.embeddingVectorSize;
    expect(values).toHaveLength(tokens.length * width);
    for (const i of tokens.keys()) {
        const row = values.subarray(i * width, (i + 1) * width);
        expect([...row.subarray(0, 4)]).toEqual(first[i]);
        expect(row.at(-1)).toBe(last[i]);
        expect(row.reduce((total, value) => total + value, 0)).toBeCloseTo(sum[i] as number, 6);
    }
}

describe("embeddings", () => {
    it("reads float32", async () => {
        const model = await loadTinyModel();
        await expectRows(model, {
            tokens: [0, 300, 3],
            first: [
                [3.6819634260609746e-5, 0.07693693786859512, 0.8111613392829895, -0.37176713347435],
                [-0.341403067111969, 0.8555125594139099, 0.061600856482982635, -1.467257022857666],
                [0.6465276479721069, -0.6041889190673828, -0.272610068321228, 0.012951219454407692]
            ],
            last: [0.40458911657333374, 0.00932899210602045, 0.4618832767009735],
            sum: [-2.2209288039884996, 5.387675376174614, 4.188835747539997]
        });
        await model.dispose();
    });

    it("reads blocks of four bits", async () => {
        const model = await loadTinyModel({dtype: "Q4_1"});
        await expectRows(model, {
            tokens: [0, 300, 3],
            first: [
                [-0.0355224609375, 0.15234375, 0.90380859375, -0.4112548828125],
                [-0.415771484375, 0.845458984375, 0.004638671875, -1.466796875],
                [0.6085205078125, -0.5772705078125, -0.1820068359375, 0.015625]
            ],
            last: [0.443359375, 0.037841796875, 0.4959716796875],
            sum: [-2.0345458984375, 5.831298828125, 3.7540283203125]
        });
        await model.dispose();
    });

    it("reads half precision, neighbours in one piece", async () => {
        const modelPath = fileURLToPath(new URL("../../demo/model.gguf", import.meta.url));
        const model = await (await testLlama()).loadModel({modelPath});
        await expectRows(model, {
            tokens: [0, 5, 6, 200, 77],
            first: [
                [0.2098388671875, -0.0545654296875, -0.006984710693359375, -0.0576171875],
                [0.2054443359375, -0.08837890625, 0.0186920166015625, -0.056365966796875],
                [0.2003173828125, -0.06549072265625, 0.0032176971435546875, -0.0921630859375],
                [0.2042236328125, -0.08392333984375, 0.01387786865234375, -0.07659912109375],
                [0.2060546875, -0.061920166015625, 0.0106353759765625, -0.052978515625]
            ],
            last: [-0.075927734375, -0.09075927734375, -0.07745361328125, -0.09246826171875, -0.05810546875],
            sum: [
                0.28333306312561035, 0.44064998626708984, 0.12493807077407837, 0.42551565170288086, 0.4064912796020508
            ]
        });
        await model.dispose();
    });

    it("refuses a token that has no row", async () => {
        const model = await loadTinyModel();
        expect(await failure(() => readEmbeddings(model, [1, 400]))).toMatchObject({
            code: "INVALID_ARGUMENT",
            message: "Expected tokens from 0 to 399 for tokens but received 400"
        });
        await model.dispose();
    });
});

describeWithTestModel("embeddings of a real model", () => {
    it("reads blocks of eight bits", async () => {
        const model = await loadTestModel();
        await expectRows(model, {
            tokens: [0, 5, 6, 200, 77],
            first: [
                [-0.10654449462890625, 0.032978057861328125, 0.048198699951171875, -0.022830963134765625],
                [-0.00799560546875, -0.03997802734375, -0.031982421875, 0.0159912109375],
                [0.1097412109375, -0.1234588623046875, 0.0137176513671875, -0.246917724609375],
                [-0.1368408203125, 0.102630615234375, -0.12828826904296875, -0.07697296142578125],
                [-0.06143760681152344, -0.0068264007568359375, 0.10467147827148438, -0.015928268432617188]
            ],
            last: [
                0.029754638671875, -0.1298370361328125, -0.15224647521972656, 0.029539108276367188, -0.027557373046875
            ],
            sum: [-2.2541093826293945, 0.4097871780395508, -4.443445205688477, 0.2317523956298828, -1.5475568771362305]
        });
        await model.dispose();
    });
});

/** A client of HTTP in a process of its own, as clients are no part of the server's. */
import {Agent, request as open} from "node:http";
import {text as textOf} from "node:stream/consumers";

async function send({url, agent}, {path, body}) {
    const headers = body && {"content-type": "application/json"};
    const response = await new Promise((resolve, reject) => {
        open(`${url}${path}`, {agent, method: body ? "POST" : "GET", headers}, resolve)
            .on("error", reject)
            .end(body && JSON.stringify(body));
    });
    response.setEncoding("utf8");
    if (response.statusCode !== 200) throw new Error(`${path}: ${response.statusCode} ${await textOf(response)}`);
    return response;
}

const acts = {
    /** Texts of the answers to chats that are all asked at once. */
    answers: async (server, requests) =>
        await Promise.all(
            requests.map(async (request) => {
                const {choices} = JSON.parse(await textOf(await send(server, request)));
                return choices[0].message.content;
            })
        ),
    /** Milliseconds from each request, one after another, until the first text of its stream. */
    firstText: async ({url}, requests) =>
        // Each has a connection of its own: llama-server closes it after a stream, though it says otherwise.
        await timesOf({url, agent: false}, requests, async (response, time) => {
            let [text, first] = ["", undefined];
            for await (const chunk of response) {
                text += chunk;
                if (/"content":"[^"]/.test(text)) first ??= time();
            }
            if (first === undefined) throw new Error(`no text came: ${text}`);
            return first;
        }),
    /** Milliseconds from each request, one after another, until its whole answer. */
    whole: async (server, requests) => {
        // The connection stands before anything is measured.
        await textOf(await send(server, {path: "/v1/models"}));
        return await timesOf(server, requests, async (response, time) => {
            await textOf(response);
            return time();
        });
    }
};

async function timesOf(server, requests, timeOf) {
    const times = [];
    for (const request of requests) {
        const start = performance.now();
        times.push(await timeOf(await send(server, request), () => performance.now() - start));
    }
    return times;
}

process.on("message", async ({act, url, requests}) => {
    // Connections last as long as an act: servers close idle ones, maybe just as they are used again.
    const agent = new Agent({keepAlive: true});
    try {
        process.send({result: await acts[act]({url, agent}, requests)});
    } catch (error) {
        process.send({error: error.message});
    } finally {
        agent.destroy();
    }
});

/** A client of HTTP in a process of its own, as clients are no part of the server's. */
async function send(url, {path, body}) {
    const response = await fetch(
        `${url}${path}`,
        body && {method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(body)}
    );
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response;
}

const acts = {
    /** Texts of the answers to chats that are all asked at once. */
    answers: async (url, requests) =>
        await Promise.all(
            requests.map(async (request) => {
                const {choices} = await (await send(url, request)).json();
                return choices[0].message.content;
            })
        ),
    /** Milliseconds from each request, one after another, until the first text of its stream. */
    firstText: async (url, requests) =>
        await timesOf(requests, async (request, time) => {
            const decoder = new TextDecoder();
            let [text, first] = ["", undefined];
            for await (const chunk of (await send(url, request)).body) {
                text += decoder.decode(chunk, {stream: true});
                if (/"content":"[^"]/.test(text)) first ??= time();
            }
            if (first === undefined) throw new Error(`no text came: ${text}`);
            return first;
        }),
    /** Milliseconds from each request, one after another, until its whole answer. */
    whole: async (url, requests) =>
        await timesOf(requests, async (request, time) => {
            await (await send(url, request)).arrayBuffer();
            return time();
        })
};

async function timesOf(requests, timeOf) {
    const times = [];
    for (const request of requests) {
        const start = performance.now();
        times.push(await timeOf(request, () => performance.now() - start));
    }
    return times;
}

process.on("message", async ({act, url, requests}) => {
    try {
        process.send({result: await acts[act](url, requests)});
    } catch (error) {
        process.send({error: `${error.message} ${error.cause ?? ""}`});
    }
});

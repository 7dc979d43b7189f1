/** The page at `/` of `mara serve`: a chat, raw and aligned side by side. */
import {render} from "preact";
import {useEffect, useRef, useState} from "preact/hooks";
import {Api, Refusal} from "./api.js";
import {describe, emptyAnswer, messagesOf, type Side, sides, type Turn, withAnswer} from "./conversation.js";
import {Tokens} from "./tokens.js";

const api = new Api();

function App() {
    const [models, setModels] = useState<string[]>([]);
    const [agent, setAgent] = useState("");
    const [threshold, setThreshold] = useState(0.5);
    const [isOwn, setIsOwn] = useState(false);
    const [turns, setTurns] = useState<Turn[]>([]);
    const [draft, setDraft] = useState("");
    const [error, setError] = useState("");
    const [needsKey, setNeedsKey] = useState(false);
    const [running, setRunning] = useState<AbortController>();
    const generation = useRef<string | undefined>(undefined);

    const load = async () => {
        try {
            const names = await api.models();
            setModels(names);
            setAgent(names[1] ?? "");
            setNeedsKey(false);
            setError("");
        } catch (failure) {
            setNeedsKey(failure instanceof Refusal && failure.status === 401);
            setError((failure as Error).message);
        }
    };
    useEffect(() => void load(), []);

    const speak = async (side: Side, asked: readonly Turn[], signal: AbortSignal) => {
        const model = side === "raw" ? (models[0] as string) : agent;
        const settings = side === "aligned" && isOwn ? {threshold} : {};
        try {
            const messages = messagesOf(asked, side);
            for await (const {id, tokens, progress} of api.answer({model, messages, ...settings}, signal)) {
                if (side === "aligned") generation.current = id;
                setTurns((now) =>
                    withAnswer(now, side, (answer) => ({...answer, tokens: [...answer.tokens, ...tokens], progress}))
                );
            }
        } catch (failure) {
            const message = signal.aborted ? "stopped" : (failure as Error).message;
            setTurns((now) => withAnswer(now, side, (answer) => ({...answer, error: message})));
        }
    };

    const send = async (event: Event) => {
        event.preventDefault();
        const question = draft.trim();
        if (question === "" || running !== undefined || models.length === 0) return;
        const asked = [...turns, {question, answers: {raw: emptyAnswer, aligned: emptyAnswer}}];
        const controller = new AbortController();
        setTurns(asked);
        setDraft("");
        setRunning(controller);
        await Promise.all(shownSides(agent).map((side) => speak(side, asked, controller.signal)));
        generation.current = undefined;
        setRunning(undefined);
    };

    const slide = (value: number) => {
        setThreshold(value);
        setIsOwn(true);
        // The answer may have ended in between.
        if (generation.current !== undefined) void api.change(generation.current, value).catch(() => {});
    };

    const save = async () => {
        const description = `Model: ${models[0]}. Agent: ${agent}.${isOwn ? ` Threshold ${threshold}.` : ""}`;
        const shared = turns.map(({question, answers}) => ({
            question,
            answers: shownSides(agent).map((side) => ({side, tokens: answers[side].tokens}))
        }));
        try {
            const link = document.createElement("a");
            link.href = URL.createObjectURL(await api.trace({description, turns: shared}));
            link.download = "conversation.html";
            link.click();
            URL.revokeObjectURL(link.href);
        } catch (failure) {
            setError((failure as Error).message);
        }
    };

    return (
        <>
            <header>
                <h1>Raw beside aligned</h1>
                <p class="lead">{models[0] === undefined ? "" : `Model: ${models[0]}`}</p>
            </header>
            {needsKey && (
                <form
                    class="key"
                    onSubmit={(event) => {
                        event.preventDefault();
                        void load();
                    }}
                >
                    <label>
                        The server's key{" "}
                        <input
                            type="password"
                            autocomplete="off"
                            onInput={({currentTarget}) => (api.key = currentTarget.value)}
                        />
                    </label>
                    <button type="submit">Use it</button>
                </form>
            )}
            <p role="alert" class="error">
                {error}
            </p>
            {agent !== "" && (
                <section class="controls" aria-label="Alignment">
                    <label>
                        Agent{" "}
                        <select value={agent} onChange={({currentTarget}) => setAgent(currentTarget.value)}>
                            {models.slice(1).map((name) => (
                                <option value={name}>{name.slice(name.lastIndexOf(":") + 1)}</option>
                            ))}
                        </select>
                    </label>
                    <label>
                        Threshold{" "}
                        <input
                            type="range"
                            min="0"
                            max="1"
                            step="0.01"
                            value={threshold}
                            onInput={({currentTarget}) => slide(Number(currentTarget.value))}
                        />{" "}
                        <output>{isOwn ? threshold.toFixed(2) : "as trained"}</output>
                    </label>
                    <p class="legend note">
                        <span class="k1">2nd choice</span> <span class="k2">3rd to 5th</span>{" "}
                        <span class="k5">6th or later</span> <span class="kf">nothing was accepted</span>
                    </p>
                </section>
            )}
            <div class="turns">
                {turns.map((turn) => (
                    <TurnView turn={turn} agent={agent} />
                ))}
            </div>
            <form class="ask" onSubmit={send}>
                <label class="question-field">
                    Your message
                    <textarea
                        rows={2}
                        value={draft}
                        onInput={({currentTarget}) => setDraft(currentTarget.value)}
                        onKeyDown={(event) => {
                            if (event.key === "Enter" && !event.shiftKey) void send(event);
                        }}
                    />
                </label>
                <div class="buttons">
                    {running === undefined ? (
                        <button type="submit">Send</button>
                    ) : (
                        <button type="button" onClick={() => running.abort()}>
                            Stop
                        </button>
                    )}
                    <button
                        type="button"
                        disabled={turns.length === 0 || running !== undefined}
                        onClick={() => setTurns([])}
                    >
                        New conversation
                    </button>
                    <button
                        type="button"
                        disabled={turns.length === 0 || running !== undefined}
                        onClick={() => void save()}
                    >
                        Save as a file
                    </button>
                </div>
            </form>
            <p role="status" class="visually-hidden">
                {running === undefined ? (turns.length > 0 ? "Answered" : "") : "Answering"}
            </p>
        </>
    );
}

/** A server without agents has one side. */
function shownSides(agent: string): readonly Side[] {
    return agent === "" ? ["raw"] : sides;
}

function TurnView({turn: {question, answers}, agent}: {turn: Turn; agent: string}) {
    return (
        <article>
            <h2 class="question">{question}</h2>
            <div class="columns">
                {shownSides(agent).map((side) => (
                    <section data-side={side}>
                        <h3>{side}</h3>
                        <Tokens tokens={answers[side].tokens} label={`${side} answer, token by token`} />
                        {answers[side].error !== undefined && <p class="error">{answers[side].error}</p>}
                        <p class="note stats">{describe(answers[side].progress)}</p>
                    </section>
                ))}
            </div>
        </article>
    );
}

render(<App />, document.getElementById("app") as HTMLElement);

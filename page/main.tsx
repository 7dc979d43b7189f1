/** The page at `/` of `mara serve`: a chat, raw and aligned side by side. */
import {render} from "preact";
import {useEffect, useLayoutEffect, useMemo, useRef, useState} from "preact/hooks";
import {Api, Refusal} from "./api.js";
import {useBars} from "./bars.js";
import {Controls} from "./controls.js";
import {emptyAnswer, messagesOf, noProgress, type Side, sides, type Turn, withAnswer} from "./conversation.js";
import {describeSettings, initialSettings, maraFields, type Settings} from "./settings.js";
import {useTip} from "./tip.js";
import {TurnView} from "./turn.js";

const api = new Api();
const rawAlone: readonly Side[] = ["raw"];

/** A server without agents has one side. */
function sidesOf({agents}: Settings): readonly Side[] {
    return agents.length > 0 ? sides : rawAlone;
}

/** What the server has told of itself, and how the person has set it. */
interface Known {
    model: string;
    settings: Settings;
}

function App() {
    const [model, setModel] = useState("");
    const [settings, setSettings] = useState<Settings>(initialSettings([]));
    const [turns, setTurns] = useState<Turn[]>([]);
    const [draft, setDraft] = useState("");
    const [error, setError] = useState("");
    const [needsKey, setNeedsKey] = useState(false);
    const [running, setRunning] = useState<AbortController>();
    const generation = useRef<string | undefined>(undefined);
    const latest = useRef(settings);
    latest.current = settings;
    const hasAgents = settings.agents.length > 0;
    const shown = sidesOf(settings);
    const {tip, teller, dismiss} = useTip();
    const fail = (failure: unknown) => setError((failure as Error).message);

    const load = async (signal?: AbortSignal): Promise<Known | undefined> => {
        try {
            const [name = "", ...others] = await api.models(signal);
            const known = {model: name, settings: initialSettings(others.map((one) => one.slice(name.length + 1)))};
            setModel(known.model);
            setSettings(known.settings);
            setNeedsKey(false);
            setError("");
            return known;
        } catch (failure) {
            if (signal?.aborted) return;
            setNeedsKey(failure instanceof Refusal && failure.status === 401);
            fail(failure);
        }
    };
    useEffect(() => void load(), []);
    useBars(hasAgents);

    // Whoever reads the end goes on reading it; whoever has scrolled up is left there.
    useLayoutEffect(() => {
        const {scrollHeight} = document.documentElement;
        if (running !== undefined && scrollHeight - scrollY - innerHeight < 150) scrollTo(0, scrollHeight);
    }, [turns]);

    /** `asked` are the settings that the question came with; they may have changed before the server told its answer's id. */
    const begin = (id: string, asked: Settings) => {
        if (generation.current === id) return;
        generation.current = id;
        if (latest.current !== asked) api.change(id, maraFields(latest.current)).catch(fail);
    };

    const speak = async (side: Side, asked: readonly Turn[], {model, settings}: Known, signal: AbortSignal) => {
        try {
            const mara = side === "aligned" ? maraFields(settings) : undefined;
            const answer = api.answer({model, messages: messagesOf(asked, side), mara}, signal);
            for await (const {id, tokens, progress} of answer) {
                if (side === "aligned") begin(id, settings);
                setTurns((now) =>
                    withAnswer(now, side, (before) => ({
                        ...before,
                        tokens: [...before.tokens, ...tokens],
                        progress: progress ?? before.progress ?? noProgress
                    }))
                );
            }
        } catch (failure) {
            const message = signal.aborted ? "stopped" : (failure as Error).message;
            setTurns((now) =>
                withAnswer(now, side, ({tokens, progress}) => ({
                    tokens,
                    progress: tokens.length === 0 ? undefined : progress,
                    error: message
                }))
            );
        } finally {
            if (side === "aligned") generation.current = undefined;
        }
    };

    const ask = async (question: string, known: Known, signal: AbortSignal) => {
        const asked = [...turns, {question, answers: {raw: emptyAnswer, aligned: emptyAnswer}}];
        setTurns(asked);
        setDraft("");
        setError("");
        requestAnimationFrame(() => scrollTo(0, document.documentElement.scrollHeight));
        await Promise.all(sidesOf(known.settings).map((side) => speak(side, asked, known, signal)));
    };

    const send = async (event: Event) => {
        event.preventDefault();
        const question = draft.trim();
        if (question === "" || running !== undefined) return;
        const controller = new AbortController();
        setRunning(controller);
        // The models may have been asked for in vain when the page was opened.
        const known = model === "" ? await load(controller.signal) : {model, settings};
        if (known !== undefined) await ask(question, known, controller.signal);
        setRunning(undefined);
    };

    const set = (changed: Settings) => {
        setSettings(changed);
        if (generation.current !== undefined) api.change(generation.current, maraFields(changed)).catch(fail);
    };

    const save = async () => {
        const description = `Model: ${model}.${hasAgents ? ` Agents: ${describeSettings(settings)}.` : ""}`;
        const shared = turns.map(({question, answers}) => ({
            question,
            answers: shown.map((side) => ({side, tokens: answers[side].tokens}))
        }));
        try {
            const link = document.createElement("a");
            link.href = URL.createObjectURL(await api.trace({description, turns: shared}));
            link.download = "conversation.html";
            link.click();
            URL.revokeObjectURL(link.href);
        } catch (failure) {
            fail(failure);
        }
    };

    // A tip that comes or goes leaves the answers alone, which may have thousands of tokens.
    const conversation = useMemo(
        () => (
            <div class="turns">
                {turns.map((turn) => (
                    <TurnView turn={turn} sides={shown} teller={teller} />
                ))}
            </div>
        ),
        [turns, shown]
    );

    return (
        <>
            <header>
                <h1>Raw beside aligned</h1>
                <p class="lead">{model === "" ? "" : `Model: ${model}`}</p>
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
            {hasAgents && <Controls settings={settings} onChange={set} />}
            {hasAgents && <Legend />}
            {conversation}
            {tip}
            <form class="ask" onSubmit={send}>
                <label class="question-field">
                    Your message
                    <textarea
                        rows={2}
                        value={draft}
                        onInput={({currentTarget}) => setDraft(currentTarget.value)}
                        onKeyDown={(event) => {
                            if (event.key === "Enter" && !event.shiftKey && !isComposing(event)) void send(event);
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
                        onClick={() => {
                            setTurns([]);
                            dismiss();
                        }}
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

/** True for a key that belongs to an input method. Safari's Enter that ends a composition is told by its code alone. */
function isComposing(event: KeyboardEvent): boolean {
    return event.isComposing || event.keyCode === 229;
}

function Legend() {
    return (
        <p class="legend note">
            <span class="k1">2nd choice</span> <span class="k2">3rd to 5th</span> <span class="k5">6th or later</span>{" "}
            <span class="kf">nothing was accepted</span>{" "}
            <span class="with-pointer">
                Point at a token, or move through an answer with the arrow keys, to see what was decided.
            </span>
            <span class="with-finger">Tap a token to see what was decided.</span>
        </p>
    );
}

render(<App />, document.getElementById("app") as HTMLElement);

/** A question and the answers to it, side by side. */
import {describe, type Side, type Turn} from "./conversation.js";
import type {Teller} from "./tip.js";
import {Tokens} from "./tokens.js";

interface TurnFields {
    turn: Turn;
    sides: readonly Side[];
    teller: Teller;
}

export function TurnView({turn: {question, answers}, sides, teller}: TurnFields) {
    return (
        <article>
            <h2 class="question">{question}</h2>
            <div class="columns">
                {sides.map((side) => (
                    <section data-side={side}>
                        <h3>{side}</h3>
                        <Tokens
                            tokens={answers[side].tokens}
                            label={`${side} answer, token by token`}
                            teller={teller}
                        />
                        {answers[side].error !== undefined && <p class="error">{answers[side].error}</p>}
                        <p class="note stats">{describe(answers[side].progress)}</p>
                    </section>
                ))}
            </div>
        </article>
    );
}

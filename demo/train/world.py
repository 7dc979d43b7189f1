"""The corpus on the Python side: prompts with reply options, as `demo/corpus.ts` wrote them, and the exact judge."""

import json
import random
from dataclasses import dataclass

TURN, END, PAD = "<|im_start|>", "<|im_end|>", "<|endoftext|>"

# The first is what node-llama-cpp's LlamaChatSession says when the caller gives no system prompt.
SYSTEMS = [
    "You are a helpful, respectful and honest assistant. Always answer as helpfully as possible.\n"
    "If a question does not make any sense, or is not factually coherent, explain why instead of answering something "
    "incorrectly. If you don't know the answer to a question, don't share false information.",
    "You are a helpful assistant.",
    "You are the desk of Harbour House.",
]

# How many turns conversations have, with weights. Most are short; the long ones teach the model to read past the
# earlier turns of a chat.
SHORT = {1: 76, 2: 14, 3: 6, 4: 4}
LONG = {1: 30, 3: 10, 5: 15, 8: 20, 12: 25}

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' "
    "+ '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


@dataclass
class Request:
    text: str
    segments: list[list[tuple[str, float, int]]]

    def sample(self, rng: random.Random) -> str:
        """A reply as the base model's training text has it."""
        parts = [rng.choices(s, [option[1] for option in s])[0][0] for s in self.segments]
        return " ".join(part for part in parts if part)

    def best(self, rest: list[int], encode, complete: bool = False) -> int | None:
        """The most points of a reply that begins with these tokens (or is them, if complete); None if there is none.

        Tokens and not text: a "W" that begins "Wheat" must not pass for the beginning of "With pleasure", which the
        model spells with other tokens. `encode` may be called part by part, as no token reaches across a space.
        """
        return self._best(rest, 0, encode, complete, "")

    def _best(self, rest: list[int], i: int, encode, complete: bool, space: str) -> int | None:
        if i == len(self.segments):
            return None if rest else 0
        if not rest and not complete:
            return sum(max(points for _, _, points in s) for s in self.segments[i:])
        values = []
        for text, _, points in self.segments[i]:
            piece = encode(space + text) if text else []
            if rest[: len(piece)] == piece:
                value = self._best(rest[len(piece) :], i + 1, encode, complete, " " if text else space)
            elif piece[: len(rest)] == rest and not complete:
                value = sum(max(p for _, _, p in s) for s in self.segments[i + 1 :])
            else:
                continue
            if value is not None:
                values.append(points + value)
        return max(values, default=None)


def load(path) -> list[Request]:
    with open(path, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Request(row["text"], [[tuple(o) for o in s] for s in row["segments"]]) for row in rows]


def opening(prompt: str, system: str | None) -> str:
    """Everything up to the first token of the reply."""
    head = f"{TURN}system\n{system}{END}\n" if system else ""
    return f"{head}{turn(prompt)}"


def turn(prompt: str) -> str:
    return f"{TURN}user\n{prompt}{END}\n{TURN}assistant\n"


def conversation(requests: list[Request], rng: random.Random, turns: dict[int, float]) -> list[tuple[str, str, Request]]:
    """Turns that follow each other, as (context, reply, request); `turns` weighs how many there are."""
    system = rng.choices([None, *SYSTEMS], [45, 20, 15, 20])[0]
    talk = []
    for i in range(rng.choices(list(turns), list(turns.values()))[0]):
        request = rng.choice(requests)
        context = opening(request.text, system) if i == 0 else f"\n{turn(request.text)}"
        talk.append((context, request.sample(rng) + END, request))
    return talk


def last_turn(requests: list[Request], rng: random.Random, turns: dict[int, float]) -> tuple[str, Request]:
    """A conversation up to the point where the desk must speak, and the request it has to answer."""
    *earlier, (context, _, request) = conversation(requests, rng, turns)
    return "".join(a + b for a, b, _ in earlier) + context, request

"""Batched decoding with a cache, raw and MARA's way: a plain model of what the package does on llama.cpp."""

from dataclasses import dataclass, field

import torch

from model import Agent, Model

TOP_K, TOP_P, TEMPERATURE, THRESHOLD = 40, 0.95, 0.8, 0.5


class LayerCache:
    """Keys and values of one layer. `rows` and `positions` say what the next forward pass is about."""

    def __init__(self, rows: int, heads: int, length: int, head: int):
        self.k, self.v = torch.zeros(2, rows, heads, length, head)
        self.rows = self.positions = None

    def __call__(self, k, v):
        self.k[self.rows[:, None], :, self.positions] = k.transpose(1, 2)
        self.v[self.rows[:, None], :, self.positions] = v.transpose(1, 2)
        used = int(self.positions.max()) + 1
        return self.k[:, :, :used][self.rows], self.v[:, :, :used][self.rows]


class Batch:
    """Sequences decoded side by side. A token may be tried again at the same place: it replaces the one before."""

    def __init__(self, model: Model, contexts: list[list[int]], room: int):
        self.model = model
        length = max(map(len, contexts)) + room
        c = model.c
        self.caches = [LayerCache(len(contexts), c.heads, length, c.head) for _ in range(c.layers)]
        self.places = torch.arange(length)
        padded = torch.tensor([t + [0] * (length - room - len(t)) for t in contexts])
        positions = torch.arange(padded.shape[1]).expand_as(padded)
        states = self._forward(torch.arange(len(contexts)), padded, positions)
        self.lengths = torch.tensor([len(t) for t in contexts])
        self.logits = model.logits(states[torch.arange(len(contexts)), self.lengths - 1])

    def step(self, rows, tokens):
        """States of one further token in each of `rows`, written over whatever was tried there before."""
        return self._forward(rows, tokens[:, None], self.lengths[rows][:, None])[:, 0]

    def commit(self, rows, states):
        """Takes the tokens that were last tried in `rows` for good."""
        self.lengths[rows] += 1
        self.logits[rows] = self.model.logits(states)

    def _forward(self, rows, tokens, positions):
        for cache in self.caches:
            cache.rows, cache.positions = rows, positions
        mask = (self.places[: int(positions.max()) + 1] <= positions[..., None])[:, None]
        return self.model(tokens, positions, mask, self.caches)


def candidates(logits) -> tuple[list[int], list[float]]:
    """Top-k, then top-p over what is left, then temperature: tokens best first, and their probabilities."""
    values, tokens = logits.topk(TOP_K)
    total = values.softmax(-1).cumsum(-1)
    kept = int((total < TOP_P).sum()) + 1
    return tokens[:kept].tolist(), (values[:kept] / TEMPERATURE).softmax(-1).tolist()


@dataclass
class Reply:
    tokens: list[int] = field(default_factory=list)
    decodes: int = 0
    decisions: int = 0
    fallbacks: int = 0
    ranks: list[int] = field(default_factory=list)
    ended: bool = False


@torch.inference_mode()
def generate(model: Model, agent: Agent | None, contexts: list[list[int]], end: int, limit: int = 80) -> list[Reply]:
    """Greedy replies, or with an agent those of strategy `first`, order `best-first`, fallback to rank 0."""
    batch = Batch(model, contexts, limit)
    replies = [Reply() for _ in contexts]
    for _ in range(limit):
        alive = [i for i, reply in enumerate(replies) if not reply.ended]
        if not alive:
            break
        choices = {i: candidates(batch.logits[i])[0][: None if agent else 1] for i in alive}
        pending, rank = alive, 0
        while pending:
            rows = torch.tensor(pending)
            # A row whose candidates are all rejected falls back to its first, which is then decoded once more.
            tried = [choices[i][rank] if rank < len(choices[i]) else choices[i][0] for i in pending]
            states = batch.step(rows, torch.tensor(tried))
            accepted = agent.accept(states) > THRESHOLD if agent else torch.ones(len(pending))
            taken = []
            for at, i in enumerate(pending):
                reply, choice = replies[i], choices[i]
                reply.decodes += 1
                if rank < len(choice) and len(choice) > 1 and not accepted[at]:
                    continue
                taken.append(at)
                reply.tokens.append(tried[at])
                reply.ended = tried[at] == end
                if len(choice) > 1:
                    reply.decisions += 1
                    reply.fallbacks += rank == len(choice)
                    reply.ranks.append(rank % len(choice))
            if taken:
                batch.commit(rows[taken], states[taken])
            pending = [i for at, i in enumerate(pending) if at not in set(taken)]
            rank += 1
    return replies

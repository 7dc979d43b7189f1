"""The agent: which candidate tokens keep the best reply within reach. Labels are exact, by the world's own judge."""

import random
import time
from functools import cache

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from decode import THRESHOLD, Batch, candidates
from model import Agent, Model
from world import END, LONG, SHORT, Request, last_turn

HIDDEN = 256


@torch.inference_mode()
def explore(model: Model, agent: Agent | None, tokenizer: Tokenizer, requests: list[Request], rng: random.Random):
    """Walks through replies and labels every candidate on the way: (states, labels).

    A candidate is good if the best reply that it still allows is as good as the best one that was possible before it.
    So after a slip the rest of the reply is still judged on its own merits. Without an agent the way is the teacher's
    or a sample of the base model's; with one it is the agent's own, now and then led astray, so that the agent learns
    about the places where it really gets to.
    """
    end, limit = tokenizer.token_to_id(END), 80
    encode = cache(lambda text: tokenizer.encode(text).ids)
    # Long conversations come in batches of their own, so that the short ones need not be padded to them.
    size, turns = (24, LONG) if rng.random() < 0.3 else (64, SHORT)
    talks = [last_turn(requests, rng, turns) for _ in range(size)]
    contexts = [e.ids for e in tokenizer.encode_batch([context for context, _ in talks])]
    batch = Batch(model, contexts, limit)
    spoken: list[list[int]] = [[] for _ in talks]
    strays = [rng.random() < 0.5 for _ in talks]
    alive = list(range(len(talks)))
    all_states, all_labels = [], []
    for _ in range(limit):
        if not alive:
            break
        choices = {i: candidates(batch.logits[i]) for i in alive}
        labels = {i: judge(talks[i][1], encode, spoken[i], choices[i][0], end) for i in alive}
        accepts: dict[int, list[float]] = {i: [] for i in alive}
        for rank in range(max(len(tokens) for tokens, _ in choices.values())):
            some = [i for i in alive if 1 < len(choices[i][0]) and rank < len(choices[i][0])]
            if not some:
                break
            states = batch.step(torch.tensor(some), torch.tensor([choices[i][0][rank] for i in some]))
            chances = agent.accept(states).tolist() if agent else [0.0] * len(some)
            for at, i in enumerate(some):
                accepts[i].append(chances[at])
                if labels[i] is not None:
                    all_states.append(states[at])
                    all_labels.append(labels[i][rank])
        for i in alive:
            tokens, chances = choices[i]
            wanted = accepts[i] if agent else labels[i] or []
            stray = rng.random() < 0.05 if agent else strays[i]
            if stray:
                spoken[i].append(rng.choices(tokens, chances)[0])
            else:
                spoken[i].append(next((t for t, good in zip(tokens, wanted) if good > THRESHOLD), tokens[0]))
        rows = torch.tensor(alive)
        batch.commit(rows, batch.step(rows, torch.tensor([spoken[i][-1] for i in alive])))
        alive = [i for i in alive if spoken[i][-1] != end]
    return torch.stack(all_states), torch.tensor(all_labels)


def judge(request: Request, encode, spoken: list[int], tokens: list[int], end: int) -> list[bool] | None:
    """Which of the candidates are good; None where the reply has left the world's language already."""
    possible = request.best(spoken, encode)
    if possible is None:
        return None
    return [
        request.best(spoken if token == end else [*spoken, token], encode, token == end) == possible
        for token in tokens
    ]


def train_agent(
    model: Model, tokenizer: Tokenizer, requests: list[Request], seed: int, rounds: list[int], epochs: int, log
) -> Agent:
    """Rounds of exploring and fitting: the first round's way is the teacher's, later ones' the agent's own."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    states, labels, agent = [], [], None
    for number, batches in enumerate(rounds):
        started = time.time()
        for _ in range(batches):
            more_states, more_labels = explore(model, agent, tokenizer, requests, rng)
            states.append(more_states)
            labels.append(more_labels)
        log(f"agent: round {number}, {sum(map(len, labels))} labelled candidates, {time.time() - started:.0f} s")
        agent = fit(torch.cat(states).clone(), torch.cat(labels).clone(), epochs, log)
    return agent


def fit(states, labels, epochs: int, log) -> Agent:
    agent = Agent(states.shape[1], HIDDEN)
    size = 1024
    steps = epochs * (len(states) // size)
    optimizer = torch.optim.AdamW(agent.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    wrong = 0.0
    for step in range(steps):
        at = torch.randint(len(states), (size,))
        scores = agent(states[at])
        loss = F.cross_entropy(scores, labels[at].long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        wrong += 0.02 * ((scores.argmax(-1) != labels[at]).float().mean().item() - wrong)
    log(f"agent: {steps} steps, {labels.float().mean():.3f} of the candidates are good, {wrong:.4f} misjudged")
    return agent.eval()

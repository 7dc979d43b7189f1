"""Tokenizer and base model, trained on the corpus of the demo world."""

import math
import random
import time

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.attention import SDPBackend, sdpa_kernel

from model import Config, Model
from world import END, LONG, PAD, SHORT, TURN, Request, conversation

def train_tokenizer(requests: list[Request], seed: int, vocab: int) -> Tokenizer:
    """Byte-level BPE with GPT-2's splitting, which llama.cpp knows as `gpt-2`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[PAD, TURN, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    rng = random.Random(seed)
    texts = ("".join(a + b for a, b, _ in conversation(requests, rng, SHORT)) for _ in range(12_000))
    # The markers are cut out so that they are not merged with their neighbours.
    pieces = (piece for text in texts for piece in text.replace(END, TURN).split(TURN) if piece)
    tokenizer.train_from_iterator(pieces, trainer)
    return tokenizer


def batches(requests: list[Request], tokenizer: Tokenizer, turns: dict[int, float], size: int, seed: int):
    """Endless batches of (tokens, whether each is part of a reply), of similar length each so that little is padding."""
    rng = random.Random(seed)
    while True:
        talks = [conversation(requests, rng, turns) for _ in range(size * 16)]
        flat = tokenizer.encode_batch([piece for talk in talks for context, reply, _ in talk for piece in (context, reply)])
        pieces = iter(flat)
        rows = []
        for talk in talks:
            tokens, wanted = [], []
            for _ in talk:
                context, reply = next(pieces).ids, next(pieces).ids
                tokens += context + reply
                wanted += [False] * len(context) + [True] * len(reply)
            rows.append((tokens, wanted))
        rows.sort(key=lambda row: len(row[0]))
        groups = [rows[i : i + size] for i in range(0, len(rows), size)]
        rng.shuffle(groups)
        for group in groups:
            length = max(len(tokens) for tokens, _ in group)
            yield (
                torch.tensor([tokens + [0] * (length - len(tokens)) for tokens, _ in group]),
                torch.tensor([wanted + [False] * (length - len(wanted)) for _, wanted in group]),
            )


def train_base(requests: list[Request], tokenizer: Tokenizer, seed: int, steps: tuple[int, int], log) -> Model:
    """Short conversations first, then fewer steps of long ones at a lower rate."""
    torch.manual_seed(seed)
    model = Model(Config(vocab=tokenizer.get_vocab_size()))
    short, long = steps
    run_stage(model, batches(requests, tokenizer, SHORT, 64, seed), short, 3e-3, log)
    run_stage(model, batches(requests, tokenizer, LONG, 24, seed + 1), long, 1e-3, log)
    return model.eval()


def run_stage(model: Model, data, steps: int, peak: float, log) -> None:
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}], betas=(0.9, 0.98)
    )
    warmup = steps // 8
    started, average = time.time(), None
    for step, (tokens, wanted) in zip(range(steps), data):
        progress = max(0.0, (step - warmup) / (steps - warmup))
        rate = peak * min(1.0, (step + 1) / warmup) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        # Half precision makes the products two to three times faster on processors that have it; the weights stay full.
        # At these lengths the plain attention kernel is twice as fast as the fused one.
        with torch.autocast("cpu", dtype=torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            scores = model.logits(model(tokens[:, :-1])[wanted[:, 1:]])
        loss = F.cross_entropy(scores.float(), tokens[:, 1:][wanted[:, 1:]])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average = loss.item() if average is None else 0.98 * average + 0.02 * loss.item()
        if step % 50 == 49:
            log(f"base: step {step + 1} of {steps}, loss {average:.4f}, {time.time() - started:.0f} s")
    # What is exported is rounded to half precision: whatever comes next must see the same weights.
    with torch.no_grad():
        for p in matrices:
            p.copy_(p.half().float())

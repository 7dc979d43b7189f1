"""Trains the demo's model and agent from the corpus: `python build.py WORK_DIR OUT_DIR SEED [--reuse-base]`.

With --reuse-base the last base model of WORK_DIR is taken as it is: for work on the agent alone.
"""

import json
import sys
import time
from pathlib import Path

import torch

from agent import train_agent
from base import train_base, train_tokenizer
from decode import Reply, generate
from export import write_agent, write_gguf
from model import Config, Model
from world import END, SYSTEMS, Request, load, opening

STEPS = (1200, 240)  # of short conversations, then of long ones
ROUNDS, EPOCHS = [14, 14, 8], 10  # batches of replies to explore in each round; passes over them
NAME = "Harbour House Desk"


def log(text: str) -> None:
    print(text, flush=True)


def simulate(model, agent, tokenizer, requests: list[Request], system: str | None) -> list[Reply]:
    replies = []
    for at in range(0, len(requests), 50):
        contexts = [tokenizer.encode(opening(r.text, system)).ids for r in requests[at : at + 50]]
        replies += generate(model, agent, contexts, tokenizer.token_to_id(END))
    return replies


def summary(system: str, raw: list[Reply], aligned: list[Reply], tokenizer) -> dict:
    tokens = sum(len(r.tokens) for r in aligned)
    ranks = [rank for r in aligned for rank in r.ranks]
    fallbacks = sum(r.fallbacks for r in aligned)
    return {
        "system": system,
        "raw": [tokenizer.decode(r.tokens) for r in raw],
        "aligned": [tokenizer.decode(r.tokens) for r in aligned],
        "decodesPerToken": sum(r.decodes for r in aligned) / tokens,
        "decisionsPerToken": len(ranks) / tokens,
        "topAccepted": (ranks.count(0) - fallbacks) / len(ranks),
        "fallbackRate": fallbacks / len(ranks),
        "tokensPerReply": {"raw": sum(len(r.tokens) for r in raw) / len(raw), "aligned": tokens / len(aligned)},
    }


@torch.inference_mode()
def reference(model, tokenizer, requests: list[Request], replies: list[Reply]) -> dict:
    """What `check.ts` holds llama.cpp against: hidden states of whole conversations, and raw greedy replies."""
    cases = []
    texts = [opening(r.text, SYSTEMS[i % 3]) + tokenizer.decode(replies[i].tokens) for i, r in enumerate(requests[:30])]
    for text in [*texts, "Naïve café: 3×12 — “déjà vu”?\n\n  We'll see…  it's 100% 東京 🙂"]:
        ids = tokenizer.encode(text).ids
        cases.append({"text": text, "tokens": ids, "state": model(torch.tensor([ids]))[0, -1].tolist()})
    return {"cases": cases, "replies": [tokenizer.decode(r.tokens) for r in replies[:100]]}


def main() -> None:
    work, out, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)  # the sums are added in one order, so a seed gives the same files
    torch.use_deterministic_algorithms(True)
    started = time.time()
    requests, held_out = load(work / "train.jsonl"), load(work / "heldout.jsonl")

    tokenizer = train_tokenizer(requests, seed, Config.vocab)
    saved = work / "base.pt"
    if "--reuse-base" in sys.argv:
        model = Model(Config(vocab=tokenizer.get_vocab_size()))
        model.load_state_dict(torch.load(saved))
        model.eval()
    else:
        model = train_base(requests, tokenizer, seed, STEPS, log)
        torch.save(model.state_dict(), saved)
    description = "A micro model of the node-llama-mara demo, trained from scratch on text of its own small world."
    write_gguf(out / "model.gguf", model, tokenizer, NAME, description)

    agent = train_agent(model, tokenizer, requests, seed, ROUNDS, EPOCHS, log)
    metadata = {"base_model": f"{NAME} (demo/model.gguf)", "seed": str(seed), "made_by": "node-llama-mara demo/build.sh"}
    write_agent(out / "agent.safetensors", agent, metadata)

    runs = []
    for label, system in (("LlamaChatSession default", SYSTEMS[0]), ("none", None)):
        raw = simulate(model, None, tokenizer, held_out, system)
        aligned = simulate(model, agent, tokenizer, held_out, system)
        runs.append(summary(label, raw, aligned, tokenizer))
        if system == SYSTEMS[0]:
            checks = reference(model, tokenizer, held_out, raw)
    (work / "replies.json").write_text(json.dumps(runs), encoding="utf-8")
    (work / "reference.json").write_text(json.dumps(checks), encoding="utf-8")
    log(f"done in {time.time() - started:.0f} s")


if __name__ == "__main__":
    main()

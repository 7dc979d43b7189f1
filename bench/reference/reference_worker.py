"""MARA as a Python user would run it: a plain accept-reject loop over transformers, one candidate at a time."""

import json
import os
import sys
import time

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, DynamicCache

work = json.loads(sys.argv[1])
torch.set_num_threads(work["threads"])
folder, name = os.path.split(work["modelPath"])
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()
weights = {key: value.float() for key, value in load_file(work["agentPath"]).items()}


def accept(state):
    x = torch.nn.functional.layer_norm(state, state.shape, weights["ln.weight"], weights["ln.bias"], 1e-5)
    x = torch.relu(weights["linear1.weight"] @ x + weights["linear1.bias"])
    x = torch.relu(weights["linear2.weight"] @ x + weights["linear2.bias"])
    reject, accept = weights["output_linear.weight"] @ x + weights["output_linear.bias"]
    return bool(accept > reject)


def candidates(logits):
    top, tokens = torch.topk(logits, work["topK"])
    probabilities = torch.softmax(top, dim=-1)
    before = torch.cumsum(probabilities, dim=-1) - probabilities
    return tokens[before < work["topP"]].tolist()


def forward(tokens, cache):
    out = model(input_ids=torch.tensor([tokens]), past_key_values=cache, use_cache=True, output_hidden_states=True)
    return out.logits[0, -1], out.hidden_states[-1][0, -1]


def generate(count):
    """Yields tokens."""
    cache = DynamicCache(config=model.config)
    logits, _ = forward(work["prompt"], cache)
    for _ in range(count):
        choices = candidates(logits)
        chosen = None
        for token in choices:
            logits, state = forward([token], cache)
            if len(choices) == 1 or accept(state):
                chosen = token
                break
            cache.crop(-1)
        if chosen is None:
            chosen = choices[0]
            logits, _ = forward([chosen], cache)
        yield chosen


text, times = [], []
with torch.inference_mode():
    list(generate(8))
    for token in generate(work["tokens"]):
        text.append(token)
        times.append(time.perf_counter())
speed = (len(times) - 1) / (times[-1] - times[0])
print(json.dumps({"tokensPerSecond": speed, "text": text}))

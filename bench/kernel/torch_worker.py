"""PyTorch contenders of the kernel suite: the agent's network in eager mode or through torch.compile."""

import json
import sys
import time

import numpy as np
import torch
from torch import nn

work = json.loads(sys.argv[1])
torch.set_num_threads(work["threads"])
dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[work["dtype"]]
HIDDEN = (1024, 256)


class Agent(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.ln = nn.LayerNorm(width, eps=1e-5)
        self.linear1 = nn.Linear(width, HIDDEN[0])
        self.linear2 = nn.Linear(HIDDEN[0], HIDDEN[1])
        self.output_linear = nn.Linear(HIDDEN[1], 2)

    def forward(self, x):
        x = torch.relu(self.linear1(self.ln(x)))
        x = torch.relu(self.linear2(x))
        return torch.softmax(self.output_linear(x), dim=-1)[:, 1]


def read(width):
    data = np.fromfile(f"{work['folder']}/{width}.weights", dtype=np.float32)
    agent, at = Agent(width), 0
    for name in ("ln", "linear1", "linear2", "output_linear"):
        for part in ("weight", "bias"):
            tensor = getattr(getattr(agent, name), part)
            tensor.data.copy_(torch.from_numpy(data[at : at + tensor.numel()]).view_as(tensor))
            at += tensor.numel()
    return agent.to(dtype).eval()


def measure(run):
    def once(calls):
        start = time.perf_counter()
        for _ in range(calls):
            run()
        return (time.perf_counter() - start) / calls

    warm_until = time.perf_counter() + work["sampleSeconds"] / 3
    estimate = once(1)
    while time.perf_counter() < warm_until:
        estimate = once(max(1, int(1e-4 / estimate)))
    calls = max(1, int(5e-4 / estimate))
    until = time.perf_counter() + work["sampleSeconds"]
    samples = []
    while time.perf_counter() < until or len(samples) < 3:
        samples.append(once(calls))
    return float(np.median(samples))


times = []
with torch.inference_mode():
    for width in work["widths"]:
        agent = read(width)
        states = np.fromfile(f"{work['folder']}/{width}.states", dtype=np.float32).reshape(-1, width)
        expected = np.fromfile(f"{work['folder']}/{width}.expected", dtype=np.float64)
        for count in work["counts"]:
            if work["contender"] == "torch.compile":
                torch.compiler.reset()
                score = torch.compile(agent, dynamic=False)
            else:
                score = agent
            x = torch.from_numpy(states[:count].copy()).to(dtype)
            error = float(np.abs(score(x).float().numpy() - expected[:count]).max())
            times.append({"width": width, "count": count, "seconds": measure(lambda: score(x)), "error": error})
print(json.dumps({"times": times, "detail": f"torch {torch.__version__}"}))

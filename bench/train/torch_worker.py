"""PyTorch's updates per second: discrete SAC as bench/train/worker.ts runs it, eager, float32, on the same threads."""

import copy
import json
import math
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

work = json.loads(sys.argv[1])
torch.set_num_threads(work["threads"])
torch.manual_seed(1)
WIDTH, BATCH, HIDDEN = work["width"], work["batch"], (1024, 256)


class Trunk(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln = nn.LayerNorm(WIDTH, eps=1e-5)
        self.linear1 = nn.Linear(WIDTH, HIDDEN[0])
        self.linear2 = nn.Linear(HIDDEN[0], HIDDEN[1])
        self.output_linear = nn.Linear(HIDDEN[1], 2)

    def forward(self, x):
        return self.output_linear(torch.relu(self.linear2(torch.relu(self.linear1(self.ln(x))))))


actor, critics = Trunk(), [Trunk(), Trunk()]
targets = copy.deepcopy(critics)
log_alpha = torch.tensor(math.log(0.01), requires_grad=True)
optimisers = {network: torch.optim.Adam(network.parameters(), lr=3e-4) for network in (actor, *critics)}
alpha_optimiser = torch.optim.Adam([log_alpha], lr=3e-4)

rows = work["rows"]
states = torch.randn(rows + 1, WIDTH)
actions = torch.randint(0, 2, (rows,))
rewards = torch.randn(rows)
terminal = (torch.arange(rows) % 100 == 99).float()


def step(network, loss):
    optimisers[network].zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 0.5)
    optimisers[network].step()


def update():
    chosen = torch.randint(0, rows, (BATCH,))
    state, following = states[chosen], states[chosen + 1]
    alpha = log_alpha.exp().detach()
    with torch.no_grad():
        log_next = F.log_softmax(actor(following), dim=-1)
        lower = torch.minimum(targets[0](following), targets[1](following))
        value = (log_next.exp() * (lower - alpha * log_next)).sum(-1)
        wanted = rewards[chosen] + 0.99 * (1 - terminal[chosen]) * value
    for critic in critics:
        step(critic, F.mse_loss(critic(state).gather(1, actions[chosen, None])[:, 0], wanted))
    with torch.no_grad():
        for target, critic in zip(targets, critics):
            for t, s in zip(target.parameters(), critic.parameters()):
                t.lerp_(s, 0.005)
        lower = torch.minimum(critics[0](state), critics[1](state))
    log_policy = F.log_softmax(actor(state), dim=-1)
    step(actor, (log_policy.exp() * (alpha * log_policy - lower)).sum(-1).mean())
    entropy = -(log_policy.exp() * log_policy).sum(-1).mean().detach()
    alpha_optimiser.zero_grad()
    (log_alpha * (entropy - 0.6 * math.log(2))).backward()
    alpha_optimiser.step()
    return entropy


for _ in range(work["warmUp"]):
    entropy = update()
count, start = 0, time.perf_counter()
while count < 3 or time.perf_counter() - start < work["seconds"]:
    update()
    count += 1
print(json.dumps({"updatesPerSecond": count / (time.perf_counter() - start), "entropy": entropy.item(), "detail": f"torch {torch.__version__}"}))

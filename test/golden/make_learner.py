"""Writes the golden data of the learner: discrete SAC and supervised steps in plain PyTorch. See README.md beside this file.

An implementation of its own, after Christodoulou 2019 (arXiv:1910.07207) and its code: nothing here comes from the package under test.
All arithmetic is done in float64, from float32 starting values, so that what differs is the rounding of the code under test.
"""

import copy
import math
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from torch import nn

HERE = pathlib.Path(__file__).parent
GAMMA, TAU, LEARNING_RATE, CLIP, TARGET_ENTROPY, INITIAL_ALPHA = 0.99, 0.005, 3e-4, 0.5, 0.6 * math.log(2), 0.01


class Trunk(nn.Module):
    def __init__(self, width: int, hidden1: int, hidden2: int):
        super().__init__()
        self.ln = nn.LayerNorm(width, eps=1e-5)
        self.linear1 = nn.Linear(width, hidden1)
        self.linear2 = nn.Linear(hidden1, hidden2)
        self.output_linear = nn.Linear(hidden2, 2)

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.linear1(self.ln(state)))
        x = torch.relu(self.linear2(x))
        return self.output_linear(x)


class Learner:
    def __init__(self, width: int, hidden1: int, hidden2: int, seed: int):
        torch.manual_seed(seed)
        self.actor, self.critic1, self.critic2 = (Trunk(width, hidden1, hidden2) for _ in range(3))
        for network in (self.actor, self.critic1, self.critic2):
            # Away from PyTorch's 1 and 0, so that the affine takes part from the beginning.
            nn.init.normal_(network.ln.weight, 1, 0.3)
            nn.init.normal_(network.ln.bias, 0, 0.2)
        self.target1, self.target2 = (Trunk(width, hidden1, hidden2) for _ in range(2))
        self.log_alpha = torch.tensor(math.log(INITIAL_ALPHA), dtype=torch.float64, requires_grad=True)
        for network in self.networks().values():
            network.double()
        self.optimisers = {
            name: torch.optim.Adam(getattr(self, name).parameters(), lr=LEARNING_RATE) for name in ("actor", "critic1", "critic2")
        }
        self.optimisers["alpha"] = torch.optim.Adam([self.log_alpha], lr=LEARNING_RATE)

    def networks(self) -> dict[str, nn.Module]:
        return {name: getattr(self, name) for name in ("actor", "critic1", "critic2", "target1", "target2")}

    def step(self, name: str, loss: torch.Tensor) -> None:
        self.optimisers[name].zero_grad()
        loss.backward()
        if name != "alpha":
            nn.utils.clip_grad_norm_(getattr(self, name).parameters(), CLIP)
        self.optimisers[name].step()

    def update(self, state, action, reward, next_state, terminal) -> dict[str, float]:
        alpha = self.log_alpha.exp().detach()
        with torch.no_grad():
            log_next = F.log_softmax(self.actor(next_state), dim=-1)
            lower = torch.minimum(self.target1(next_state), self.target2(next_state))
            value = (log_next.exp() * (lower - alpha * log_next)).sum(-1)
            wanted = reward + GAMMA * (1 - terminal) * value
        critic_loss = 0.0
        for name in ("critic1", "critic2"):
            taken = getattr(self, name)(state).gather(1, action[:, None])[:, 0]
            loss = F.mse_loss(taken, wanted)
            critic_loss += loss.item() / 2
            self.step(name, loss)
        for target, source in ((self.target1, self.critic1), (self.target2, self.critic2)):
            for t, s in zip(target.parameters(), source.parameters()):
                t.data.copy_(TAU * s.data + (1 - TAU) * t.data)
        log_policy = F.log_softmax(self.actor(state), dim=-1)
        with torch.no_grad():
            lower = torch.minimum(self.critic1(state), self.critic2(state))
        loss = (log_policy.exp() * (alpha * log_policy - lower)).sum(-1).mean()
        entropy = -(log_policy.exp() * log_policy).sum(-1).mean().detach()
        alpha_loss = -(self.log_alpha * (TARGET_ENTROPY - entropy))
        self.step("actor", loss)
        self.step("alpha", alpha_loss)
        return {"criticLoss": critic_loss, "actorLoss": loss.item(), "entropy": entropy.item()}

    def fit(self, states, labels, weights) -> None:
        each = F.cross_entropy(self.actor(states), labels, reduction="none")
        self.step("actor", (weights * each).sum() / weights.sum())

    def save(self, path: pathlib.Path) -> None:
        """As `Learner.save()` writes it."""
        tensors = {}
        for network, module in self.networks().items():
            for name, value in module.named_parameters():
                tensors[f"{network}.{name}"] = value.detach().numpy().astype(np.float32)
                if network in self.optimisers:
                    state = self.optimisers[network].state.get(value, {})
                    for moment, key in ((1, "exp_avg"), (2, "exp_avg_sq")):
                        kept = state.get(key, torch.zeros_like(value))
                        tensors[f"{network}.moment{moment}.{name}"] = kept.numpy().astype(np.float32)
        write_state(path, tensors, self.log_alpha, list(self.optimisers.values()))


class SharedCritics(nn.Module):
    """Two critics behind one LayerNorm."""

    def __init__(self, width: int, hidden1: int, hidden2: int):
        super().__init__()
        self.ln = nn.LayerNorm(width, eps=1e-5)
        self.heads = nn.ModuleList(
            nn.ModuleDict({"linear1": nn.Linear(width, hidden1), "linear2": nn.Linear(hidden1, hidden2), "output_linear": nn.Linear(hidden2, 2)})
            for _ in range(2)
        )

    def forward(self, state: torch.Tensor) -> list[torch.Tensor]:
        x = self.ln(state)
        return [head["output_linear"](torch.relu(head["linear2"](torch.relu(head["linear1"](x))))) for head in self.heads]

    def of(self, index: int) -> dict[str, torch.Tensor]:
        """The tensors of one critic, by the names of an agent file."""
        return {f"ln.{name}": value for name, value in self.ln.named_parameters()} | dict(self.heads[index].named_parameters())


class PaperLearner:
    """The update of the authors' script: critics behind one LayerNorm, clipped together on the sum of halved errors, targets that move once
    in ten updates, and alpha times the difference of entropies as the temperature's loss."""

    TARGET_EVERY = 10

    def __init__(self, width: int, hidden1: int, hidden2: int, seed: int):
        torch.manual_seed(seed)
        self.actor, self.critics = Trunk(width, hidden1, hidden2), SharedCritics(width, hidden1, hidden2)
        for network in (self.actor, self.critics):
            nn.init.normal_(network.ln.weight, 1, 0.3)
            nn.init.normal_(network.ln.bias, 0, 0.2)
            network.double()
        self.targets = copy.deepcopy(self.critics)
        with torch.no_grad():
            for value in self.targets.parameters():
                value += 0.05 * torch.randn_like(value)
        self.log_alpha = torch.tensor(math.log(INITIAL_ALPHA), dtype=torch.float64, requires_grad=True)
        self.optimisers = {name: torch.optim.Adam(getattr(self, name).parameters(), lr=LEARNING_RATE) for name in ("actor", "critics")}
        self.optimisers["alpha"] = torch.optim.Adam([self.log_alpha], lr=LEARNING_RATE)
        self.updates = 0

    step = Learner.step

    def update(self, state, action, reward, next_state, terminal) -> dict[str, float]:
        with torch.no_grad():
            log_next = F.log_softmax(self.actor(next_state), dim=-1)
            lower = torch.minimum(*self.targets(next_state))
            value = (log_next.exp() * (lower - self.log_alpha.exp() * log_next)).sum(-1)
            wanted = reward + GAMMA * (1 - terminal) * value
        losses = [F.mse_loss(q.gather(1, action[:, None])[:, 0], wanted) for q in self.critics(state)]
        self.step("critics", 0.5 * losses[0] + 0.5 * losses[1])
        log_policy = F.log_softmax(self.actor(state), dim=-1)
        with torch.no_grad():
            lower = torch.minimum(*self.critics(state))
        loss = (log_policy.exp() * (self.log_alpha.exp().detach() * log_policy - lower)).sum(-1).mean()
        entropy = -(log_policy.exp() * log_policy).sum(-1).mean().detach()
        self.step("actor", loss)
        self.step("alpha", self.log_alpha.exp() * (entropy - TARGET_ENTROPY))
        self.updates += 1
        if self.updates % self.TARGET_EVERY == 0:
            for t, s in zip(self.targets.parameters(), self.critics.parameters()):
                t.data.copy_(TAU * s.data + (1 - TAU) * t.data)
        return {"criticLoss": sum(loss.item() for loss in losses) / 2, "actorLoss": loss.item(), "entropy": entropy.item()}

    def networks(self) -> dict[str, dict[str, torch.Tensor]]:
        return {"actor": dict(self.actor.named_parameters())} | {
            f"{name}{i + 1}": module.of(i) for i in range(2) for name, module in (("critic", self.critics), ("target", self.targets))
        }

    def save(self, path: pathlib.Path) -> None:
        """As `Learner.save()` writes it: both critics hold the LayerNorm that they share."""
        tensors, optimiser_of = {}, {"actor": "actor", "critic1": "critics", "critic2": "critics"}
        for network, parameters in self.networks().items():
            for name, value in parameters.items():
                tensors[f"{network}.{name}"] = value.detach().numpy().astype(np.float32)
                if network in optimiser_of:
                    state = self.optimisers[optimiser_of[network]].state.get(value, {})
                    for moment, key in ((1, "exp_avg"), (2, "exp_avg_sq")):
                        tensors[f"{network}.moment{moment}.{name}"] = state.get(key, torch.zeros_like(value)).numpy().astype(np.float32)
        write_state(path, tensors, self.log_alpha, [self.optimisers[name] for name in ("actor", "critics", "critics", "alpha")])


def write_state(path: pathlib.Path, tensors: dict[str, np.ndarray], log_alpha: torch.Tensor, optimisers: list) -> None:
    alpha = optimisers[-1].state.get(log_alpha, {})
    steps = [float(next(iter(optimiser.state.values()), {}).get("step", 0)) for optimiser in optimisers]
    moments = [float(alpha.get(key, 0)) for key in ("exp_avg", "exp_avg_sq")]
    tensors["scalars"] = np.array([*steps, log_alpha.item(), *moments], dtype=np.float64)
    tensors["random"] = np.array([1, 2, 3, 4], dtype=np.uint64)
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, path, metadata={"format": "node-llama-mara learner 1"})


def write_learner(
    folder: pathlib.Path, width: int, hidden1: int, hidden2: int, batch: int, transitions: int, kind=Learner, name: str = "learner"
) -> None:
    folder.mkdir(exist_ok=True)
    name = f"{name}-w{width}"
    learner = kind(width, hidden1, hidden2, seed=width)
    learner.save(folder / f"{name}.start.safetensors")
    start = copy.deepcopy(learner)

    random = np.random.default_rng(width)
    rows = transitions + 1
    states = (random.standard_normal((rows, width)) * 2 + 0.3).astype(np.float32)
    state = np.arange(transitions, dtype=np.int32)
    next_state = np.where(random.random(transitions) < 0.1, -1, state + 1).astype(np.int32)
    action = random.integers(0, 2, transitions, dtype=np.uint8)
    reward = random.standard_normal(transitions).astype(np.float32)
    ages = random.integers(0, transitions, (10, batch), dtype=np.int32)
    cases = {"states": states, "state": state, "next_state": next_state, "action": action, "reward": reward, "ages": ages}
    cases["fit_labels"] = random.integers(0, 2, (10, batch), dtype=np.uint8)
    cases["fit_weights"] = random.random((10, batch)).astype(np.float32)
    cases["fit_weights"][:, 0] = 0

    x = torch.from_numpy(states).double()
    metrics = []
    for update, chosen in enumerate(ages):
        following = next_state[chosen]
        metrics.append(
            learner.update(
                x[state[chosen]],
                torch.from_numpy(action[chosen]).long(),
                torch.from_numpy(reward[chosen]).double(),
                x[np.maximum(following, 0)],
                torch.from_numpy(following < 0).double(),
            )
        )
        if update in (0, 9):
            learner.save(folder / f"{name}.after{update + 1}.safetensors")
    for key in metrics[0]:
        cases[f"metrics_{key}"] = np.array([entry[key] for entry in metrics])

    for step in range(10 if kind is Learner else 0):
        labels, weights = (torch.from_numpy(cases[key][step]) for key in ("fit_labels", "fit_weights"))
        start.fit(x[state[ages[step]]], labels.long(), weights.double())
        if step in (0, 9):
            for tensor, value in start.actor.named_parameters():
                cases[f"fit{step + 1}.{tensor}"] = value.detach().numpy().astype(np.float32)
    save_file(cases, folder / f"{name}.cases.safetensors")


if __name__ == "__main__":
    write_learner(HERE, 24, 32, 8, batch=16, transitions=60)
    write_learner(HERE, 24, 32, 8, batch=16, transitions=60, kind=PaperLearner, name="paper-learner")
    if "--large" in sys.argv:
        write_learner(HERE / "large", 576, 1024, 256, batch=1024, transitions=4096)

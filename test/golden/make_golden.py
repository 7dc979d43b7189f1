"""Writes the golden data of the agent's network. See README.md beside this file.

An implementation of its own (plain PyTorch, float64), and files of the official writers (`safetensors`, `torch.save`):
nothing here comes from the package under test.
"""

import pathlib
import sys

import torch
from safetensors.torch import save_file
from torch import nn

HERE = pathlib.Path(__file__).parent


class Actor(nn.Module):
    """The accept/reject network, with the reference implementation's names."""

    def __init__(self, width: int, hidden1: int, hidden2: int):
        super().__init__()
        self.ln = nn.LayerNorm(width, eps=1e-5)
        self.linear1 = nn.Linear(width, hidden1)
        self.linear2 = nn.Linear(hidden1, hidden2)
        self.output_linear = nn.Linear(hidden2, 2)

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.linear1(self.ln(state)))
        x = torch.relu(self.linear2(x))
        return torch.softmax(self.output_linear(x), dim=-1)


def make_actor(width: int, hidden1: int, hidden2: int, seed: int) -> Actor:
    """Random weights, a random LayerNorm affine, and an output layer scaled so that probabilities spread over (0, 1)."""
    random = torch.Generator().manual_seed(seed)
    actor = Actor(width, hidden1, hidden2)
    with torch.no_grad():
        for name, value in actor.named_parameters():
            fan_in = value.shape[-1] if value.dim() == 2 else 1
            noise = torch.randn(value.shape, generator=random)
            if name == "ln.weight":
                value.copy_(1 + 0.3 * noise)
            elif value.dim() == 1:
                value.copy_(0.2 * noise)
            else:
                value.copy_(noise * (2 / fan_in) ** 0.5)
        # The two logits see the same positive activations: without their mean removed one class would win everywhere.
        probe = torch.randn((256, width), generator=random)
        hidden = torch.relu(actor.linear2(torch.relu(actor.linear1(actor.ln(probe)))))
        logits = hidden @ actor.output_linear.weight.T
        difference = logits[:, 1] - logits[:, 0]
        scale = 2.5 / difference.std()
        actor.output_linear.weight.mul_(scale)
        actor.output_linear.bias.copy_(torch.stack([difference.mean() * scale / 2, -difference.mean() * scale / 2]))
    return actor


def make_states(width: int, seed: int) -> torch.Tensor:
    """Forty states [40, width]: ordinary ones, then those that break careless arithmetic."""
    random = torch.Generator().manual_seed(seed)
    states = torch.randn((40, width), generator=random)
    states[30] = 0  # no variance: LayerNorm returns its bias
    states[31] = 0.125  # the same away from zero
    states[32] *= 1e-3  # variance near eps
    states[33] *= 1e3
    states[34] += 5  # mean far above the deviation
    states[35] = states[35] * 0.1 - 3
    states[36, 1] = 300  # the massive activations of real language models
    states[37, 0] = -1000
    states[38, 2:] = 0
    states[39] = torch.sign(states[39])
    return states


def write_golden(folder: pathlib.Path, width: int, hidden1: int, hidden2: int) -> None:
    folder.mkdir(exist_ok=True)
    actor = make_actor(width, hidden1, hidden2, seed=width)
    states = make_states(width, seed=width + 1)
    save_file(actor.state_dict(), folder / f"w{width}.agent.safetensors", metadata={"origin": f"golden width {width}"})
    with torch.no_grad():
        accept = actor.double()(states.double())[:, 1]
    save_file({"states": states, "accept": accept.contiguous()}, folder / f"w{width}.cases.safetensors")


def write_pth(folder: pathlib.Path) -> None:
    """Files as torch.save writes them, in the varieties found in the wild, and one that must be refused."""
    width = 24
    actor = make_actor(width, 16, 4, seed=7)
    state = actor.state_dict()
    torch.save({f"module.{name}": value for name, value in state.items()}, folder / "module-prefix.pth")
    torch.save(actor.half().state_dict(), folder / "half.pth")
    actor = make_actor(width, 16, 4, seed=7)
    bfloat = {name: value.bfloat16() for name, value in actor.state_dict().items()}
    torch.save({"epoch": 3, "actor": bfloat}, folder / "nested-bfloat16.pth")
    torch.save(dict(actor.named_parameters()), folder / "parameters.pth")

    # Every tensor a view of one double storage; matrices transposed, so that no stride is the usual one.
    flat = torch.cat([value.t().reshape(-1) if value.dim() == 2 else value for value in state.values()]).double()
    views, start = {}, 0
    for name, value in state.items():
        part = flat[start : start + value.numel()]
        views[name] = part.view(value.shape[::-1]).t() if value.dim() == 2 else part
        start += value.numel()
    torch.save(views, folder / "views-float64.pth")

    torch.save(state, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(actor, folder / "whole-module.pth")

    states = make_states(width, seed=8)
    expected = {"states": states}
    with torch.no_grad():
        for name, dtype in (("f32", torch.float32), ("f16", torch.float16), ("bf16", torch.bfloat16)):
            rounded = make_actor(width, 16, 4, seed=7).to(dtype).double()
            expected[name] = rounded(states.double())[:, 1].contiguous()
    save_file(expected, folder / "pth.cases.safetensors")


if __name__ == "__main__":
    # The committed files stay as they are when the large ones are asked for: torch.save writes addresses into legacy.pth.
    if "--large" in sys.argv:
        for large in (576, 2048, 4096):
            write_golden(HERE / "large", large, 1024, 256)
    else:
        write_golden(HERE, 64, 128, 32)
        write_pth(HERE)

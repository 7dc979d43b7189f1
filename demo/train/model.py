"""The micro chat model: the Llama architecture as llama.cpp computes it, small enough to train on a laptop's CPU."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class Config:
    vocab: int = 1536
    width: int = 160
    layers: int = 4
    heads: int = 5
    feed: int = 448
    context: int = 1024
    rope_base: float = 10000.0
    eps: float = 1e-5

    @property
    def head(self) -> int:
        return self.width // self.heads


class Norm(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(c.width))
        self.eps = c.eps

    def forward(self, x):
        return F.rms_norm(x.float(), self.weight.shape, self.weight, self.eps)


def rotate(x, cos, sin):
    """Rotary positions on neighbouring pairs: llama.cpp's layout for this architecture, so nothing is permuted on export."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class Layer(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        self.attn_norm, self.ffn_norm = Norm(c), Norm(c)
        self.q, self.k, self.v, self.o = (nn.Linear(c.width, c.width, bias=False) for _ in range(4))
        self.gate, self.up = (nn.Linear(c.width, c.feed, bias=False) for _ in range(2))
        self.down = nn.Linear(c.feed, c.width, bias=False)

    def forward(self, x, cos, sin, mask, cache=None):
        b, t, _ = x.shape
        h = self.attn_norm(x)
        q, k, v = (p(h).view(b, t, self.c.heads, self.c.head).transpose(1, 2) for p in (self.q, self.k, self.v))
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if cache is not None:
            k, v = cache(k, v)
        a = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        x = x + self.o(a.transpose(1, 2).reshape(b, t, -1))
        h = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Model(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        self.embed = nn.Embedding(c.vocab, c.width)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.layers))
        self.norm = Norm(c)
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02)
        for layer in self.layers:
            for p in (layer.o.weight, layer.down.weight):
                nn.init.normal_(p, std=0.02 / (2 * c.layers) ** 0.5)
        frequency = c.rope_base ** (-torch.arange(0, c.head, 2).float() / c.head)
        angles = torch.outer(torch.arange(c.context).float(), frequency)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, tokens, positions=None, mask=None, caches=None):
        """Hidden states after the final norm. `positions` is [T] or [B, T]; without a mask attention is causal."""
        if positions is None:
            positions = torch.arange(tokens.shape[1])
        cos, sin = self.cos[positions], self.sin[positions]
        if torch.is_autocast_enabled("cpu"):
            cos, sin = cos.bfloat16(), sin.bfloat16()
        if positions.dim() == 2:
            cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
        x = self.embed(tokens)
        for i, layer in enumerate(self.layers):
            x = layer(x, cos, sin, mask, None if caches is None else caches[i])
        return self.norm(x)

    def logits(self, states):
        """The output matrix is the embedding, as GGUF files without an output tensor have it."""
        return F.linear(states, self.embed.weight)


class Agent(nn.Module):
    """The accept/reject network, with the tensor names of published agents."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.ln = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, hidden // 4)
        self.output_linear = nn.Linear(hidden // 4, 2)

    def forward(self, states):
        h = F.relu(self.linear1(self.ln(states)))
        return self.output_linear(F.relu(self.linear2(h)))

    def accept(self, states):
        return self(states).softmax(-1)[..., 1]

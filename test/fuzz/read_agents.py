"""What PyTorch and safetensors read from agent files.

Reads paths from standard input, one per line, and prints a JSON object per file: {"tensors": {name: [shape, SHA-256 of
the items as float32]}} or {"refused": reason}.
"""

import hashlib
import json
import sys
import warnings

import safetensors.torch
import torch

warnings.simplefilter("ignore")


def state_dict(value):
    """The dict that holds tensors: the root, or the only dict within it, and so on."""
    for _ in range(4):
        if value and all(isinstance(item, torch.Tensor) for item in value.values()):
            return value
        dicts = [item for item in value.values() if isinstance(item, dict)]
        value = dicts[0]
    raise ValueError("no state dict")


def read(path):
    with open(path, "rb") as file:
        is_zip = file.read(2) == b"PK"
    if is_zip:
        tensors = state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    else:
        tensors = safetensors.torch.load_file(path)
    return {
        name: [list(tensor.shape), hashlib.sha256(tensor.detach().float().contiguous().numpy().tobytes()).hexdigest()]
        for name, tensor in tensors.items()
    }


for line in sys.stdin:
    try:
        print(json.dumps({"tensors": read(line.strip())}), flush=True)
    except Exception as error:
        print(json.dumps({"refused": f"{type(error).__name__}: {error}"[:300]}), flush=True)

"""Writes the golden data of the reward `head:`, with transformers. See README.md beside this file.

transformers reads the demo's model from the GGUF file, renders the chat template and runs the model in float32; the score is the linear head's
on the last hidden state (after the final norm) at the last token, as `LlamaForSequenceClassification` computes it.
"""

import json
import pathlib

import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer

HERE = pathlib.Path(__file__).parent
DEMO = HERE.parent.parent / "demo"
CONVERSATIONS = [
    ({"prompt": "When does the ferry to Skerra leave?"}, "The ferry to Skerra leaves at 9:40 from pier 2."),
    ({"prompt": "When does the ferry to Skerra leave?"}, "9:40, pier 2. That is all."),
    ({"prompt": "Can I bring my dog?", "system": "Answer as the desk of a guesthouse."}, "Of course, Iris."),
    ({"prompt": "Hello"}, ""),
]

tokenizer = AutoTokenizer.from_pretrained(DEMO, gguf_file="model.gguf")
model = AutoModel.from_pretrained(DEMO, gguf_file="model.gguf", dtype=torch.float32).eval()
random = torch.Generator().manual_seed(5)
weight = torch.randn((1, model.config.hidden_size), generator=random)
bias = torch.randn(1, generator=random)
save_file({"score.weight": weight, "score.bias": bias}, HERE / "head.safetensors")

cases = []
for prompt, response in CONVERSATIONS:
    messages = [{"role": "system", "content": prompt["system"]}] if "system" in prompt else []
    messages += [{"role": "user", "content": prompt["prompt"]}, {"role": "assistant", "content": response}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    tokens = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
    with torch.no_grad():
        state = model(tokens).last_hidden_state[0, -1]
    cases.append({"prompt": prompt, "response": response, "tokens": tokens.shape[1], "score": float(weight[0] @ state + bias)})
(HERE / "head.cases.json").write_text(json.dumps(cases, indent=2, ensure_ascii=False) + "\n")

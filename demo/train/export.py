"""Files that others read: the model as GGUF, the agent as safetensors."""

import json

import gguf
import numpy as np
from safetensors.torch import save_file
from tokenizers import Tokenizer

from model import Agent, Model
from world import END, PAD, TEMPLATE, TURN


def write_gguf(path, model: Model, tokenizer: Tokenizer, name: str, description: str) -> None:
    c = model.c
    w = gguf.GGUFWriter(str(path), "llama")
    w.add_name(name)
    w.add_description(description)
    w.add_license("mit")
    w.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    w.add_vocab_size(c.vocab)
    w.add_context_length(c.context)
    w.add_embedding_length(c.width)
    w.add_block_count(c.layers)
    w.add_feed_forward_length(c.feed)
    w.add_head_count(c.heads)
    w.add_head_count_kv(c.heads)
    w.add_rope_dimension_count(c.head)
    w.add_rope_freq_base(c.rope_base)
    w.add_layer_norm_rms_eps(c.eps)
    write_tokenizer(w, tokenizer)

    def half(tensor_name, parameter):
        w.add_tensor(tensor_name, parameter.detach().numpy().astype(np.float16))

    def full(tensor_name, parameter):
        w.add_tensor(tensor_name, parameter.detach().numpy().astype(np.float32))

    half("token_embd.weight", model.embed.weight)
    full("output_norm.weight", model.norm.weight)
    for i, layer in enumerate(model.layers):
        full(f"blk.{i}.attn_norm.weight", layer.attn_norm.weight)
        full(f"blk.{i}.ffn_norm.weight", layer.ffn_norm.weight)
        for key, part in (("attn_q", "q"), ("attn_k", "k"), ("attn_v", "v"), ("attn_output", "o")):
            half(f"blk.{i}.{key}.weight", getattr(layer, part).weight)
        for key, part in (("ffn_gate", "gate"), ("ffn_up", "up"), ("ffn_down", "down")):
            half(f"blk.{i}.{key}.weight", getattr(layer, part).weight)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def write_tokenizer(w: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    special = {PAD, TURN, END}
    tokens = [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
    merges = [" ".join(pair) for pair in merges_of(tokenizer)]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(tokens)
    w.add_token_types([gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL for t in tokens])
    w.add_token_merges(merges)
    w.add_bos_token_id(tokenizer.token_to_id(TURN))
    w.add_eos_token_id(tokenizer.token_to_id(END))
    w.add_eot_token_id(tokenizer.token_to_id(END))
    w.add_pad_token_id(tokenizer.token_to_id(PAD))
    w.add_add_bos_token(False)
    w.add_add_space_prefix(False)
    w.add_chat_template(TEMPLATE)


def merges_of(tokenizer: Tokenizer) -> list[list[str]]:
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [m.split(" ") if isinstance(m, str) else m for m in merges]


def write_agent(path, agent: Agent, metadata: dict[str, str]) -> None:
    save_file({k: v.detach().float().contiguous() for k, v in agent.state_dict().items()}, str(path), metadata)
    path.chmod(0o644)  # the library makes it readable for its owner only

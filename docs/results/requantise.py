"""Another quantisation of a model, by llama.cpp's own quantiser in the library that node-llama-cpp loads (Linux, x64).

    python3 docs/results/requantise.py IN.gguf OUT.gguf q4_0|q8_0
"""
import ctypes
import glob
import os
import sys

# llama.h: llama_ftype
TYPES = {"q4_0": 2, "q8_0": 7}


class Params(ctypes.Structure):
    """llama_model_quantize_params, as far as the fields that are set here; the rest is what the defaults say."""

    _fields_ = [
        ("nthread", ctypes.c_int32),
        ("ftype", ctypes.c_int32),
        ("output_tensor_type", ctypes.c_int32),
        ("token_embedding_type", ctypes.c_int32),
        ("allow_requantize", ctypes.c_bool),
        ("rest", ctypes.c_uint8 * 95),
    ]


source, target, kind = sys.argv[1:]
folder = os.path.join(os.path.dirname(__file__), "../../node_modules/@node-llama-cpp/linux-x64/bins/linux-x64")
(library,) = glob.glob(os.path.join(folder, "libllama.v*.so"))
llama = ctypes.CDLL(library)
llama.llama_model_quantize_default_params.restype = Params
params = llama.llama_model_quantize_default_params()
params.nthread = 1
params.ftype = TYPES[kind]
params.allow_requantize = True
status = llama.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params))
if status != 0:
    sys.exit(f"llama.cpp could not quantise {source}")

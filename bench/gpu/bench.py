#!/usr/bin/env python3
"""Builds the CUDA kernel for the GPU at hand, checks it, times it beside PyTorch, and prints a table last. Needs nvcc, python3 and torch.

    python3 bench/gpu/bench.py [--out table.md] [--skip-sanitizer] [--dry-run]

Checks: all (K, D, type) against float64 with poisoned scratch and outputs, NaN rows, gathered and misaligned rows, pinned
and pageable memory, 10 000 launches with the same bits, compute-sanitizer's memcheck and racecheck. The exit code is 1 if a check failed.
Times are medians. The kernel and "graph" are timed inside CUDA graphs; eager and compile as Python calls them. "evicted": a memset of twice the L2 before
each call, whose own time is taken off.
"""
import argparse
import ctypes
import datetime
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import report

ROOT = pathlib.Path(__file__).resolve().parents[2]
KERNEL = ROOT / "native" / "kernel" / "cuda"
SOURCES = [KERNEL / name for name in ("kernels.cu", "session.cpp", "plan.cpp", "layout.cpp")]
TYPES = ["f32", "f16", "bf16"]
TOLERANCE = {"f32": 1e-5, "f16": 4e-3, "bf16": 4e-3}
WIDTHS = [64, 100, 576, 2048, 3072, 4096, 5120, 8192]
COUNTS = [1, 2, 3, 4, 5, 8, 16, 17, 40, 41, 63, 64]
TIMED_WIDTHS, TIMED_COUNTS = [2048, 4096], [1, 8, 16, 40, 64]
BUDGET_S = 450  # further torch.compile runs are left out beyond this
started = time.monotonic()


def stop(text):
    print(f"bench/gpu: {text}", file=sys.stderr)
    raise SystemExit(2)


def nvcc(arguments):
    command = ["nvcc", "-std=c++20", "-O3", "-arch=native", f"-I{ROOT / 'native'}", f"-I{ROOT / 'native' / 'test'}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        stop(f"nvcc failed:\n{done.stdout}{done.stderr}")


def load(folder):
    path = folder / "libmara_gpu.so"
    nvcc(["-shared", "-Xcompiler", "-fPIC", ROOT / "bench" / "gpu" / "abi.cu", *SOURCES, "-o", path])
    library = ctypes.CDLL(str(path))
    library.mara_problem.restype = ctypes.c_char_p
    library.mara_create.restype = ctypes.c_void_p
    pointer, i32, i64, size = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_size_t
    library.mara_create.argtypes = [i32, i32, i32, pointer, i32]
    library.mara_destroy.argtypes = [pointer]
    library.mara_poison.argtypes = [pointer]
    library.mara_score.argtypes = [pointer, pointer, i64, pointer, i32, pointer]
    library.mara_repeat.argtypes = [pointer, pointer, i64, pointer, i32, i32, pointer]
    library.mara_time.argtypes = [pointer, pointer, i32, i64, pointer, i32, i32, i32, pointer, size, pointer]
    library.mara_time_read.argtypes = [pointer, size, i32, pointer, i32, i32, pointer]
    return library


class Agent:
    """Random weights of unit gain per layer; the same in every format."""

    def __init__(self, torch, width, hidden1=report.HIDDEN1, hidden2=report.HIDDEN2, seed=1):
        generator = torch.Generator().manual_seed(seed * 100003 + width)
        normal = lambda *shape, deviation=1.0, mean=0.0: torch.randn(*shape, generator=generator) * deviation + mean
        self.width, self.sizes = width, (hidden1, hidden2)
        self.tensors = [normal(width, deviation=0.2, mean=1), normal(width, deviation=0.2), normal(hidden1, width, deviation=width**-0.5),
                        normal(hidden1, deviation=0.1), normal(hidden2, hidden1, deviation=(2 / hidden1) ** 0.5), normal(hidden2, deviation=0.1),
                        normal(2, hidden2, deviation=(0.25 / hidden2) ** 0.5), normal(2, deviation=0.1)]

    def open(self, library, dtype):
        pointers = (ctypes.c_void_p * 8)(*[tensor.data_ptr() for tensor in self.tensors])
        handle = library.mara_create(self.width, *self.sizes, pointers, TYPES.index(dtype))
        if not handle:
            stop(library.mara_problem().decode())
        return handle

    def reference(self, torch, states):
        """float64, on whatever device the states are."""
        t = [tensor.to(states.device, torch.float64) for tensor in self.tensors]
        x = torch.nn.functional.layer_norm(states.double(), (self.width,), t[0], t[1], 1e-5)
        x = torch.relu(x @ t[2].T + t[3])
        x = torch.relu(x @ t[4].T + t[5])
        return torch.softmax(x @ t[6].T + t[7], dim=-1)[:, 1]

    def module(self, torch, dtype):
        """gather, LayerNorm, three layers, softmax, comparison, as the reference implementation does it in PyTorch."""
        f = torch.nn.functional
        t = [tensor.to("cuda", dtype) for tensor in self.tensors]

        def forward(states, rows):
            x = f.layer_norm(states.index_select(0, rows).to(dtype), (self.width,), t[0], t[1], 1e-5)
            x = f.linear(torch.relu(f.linear(torch.relu(f.linear(x, t[2], t[3])), t[4], t[5])), t[6], t[7])
            accept = torch.softmax(x.float(), dim=-1)[:, 1]
            return accept, (accept > 0.5).to(torch.int32).argmax()

        return forward


def random_states(torch, rows, width, stride, seed):
    """As LLMs have them: a mean that is not 0, and a few inputs far larger than the others."""
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(rows, stride, generator=generator) * 2 + 0.3
    states[torch.rand(rows, stride, generator=generator) < 0.002] *= 20
    return states


def score(library, handle, address, stride, rows):
    count = len(rows)
    out = (ctypes.c_float * 66)(*[7.0] * 66)
    if library.mara_score(handle, address, stride, (ctypes.c_int32 * count)(*rows), count, ctypes.byref(out, 4)):
        stop(library.mara_problem().decode())
    if out[0] != 7.0 or out[count + 1] != 7.0:
        stop("the kernel wrote beside its output")
    return list(out)[1 : count + 1]


def check_values(torch, library):
    """Returns (cases, worst error relative to the tolerance, failures)."""
    cases, worst, failures = 0, 0.0, []
    for width in WIDTHS:
        agent, total, stride = Agent(torch, width), 67, width + (3 if width % 3 == 0 else 4)
        memory = random_states(torch, total, width, stride, width)
        memory[11, width - 1], memory[12, 0] = float("nan"), float("inf")
        expected = agent.reference(torch, memory[:, :width].contiguous().cuda()).cpu()
        expected[11] = expected[12] = 0
        places = {"device": memory.cuda(), "pinned": memory.pin_memory(), "pageable": memory}
        for dtype in TYPES:
            handle = agent.open(library, dtype)
            for count in COUNTS:
                generator = torch.Generator().manual_seed(count)
                rows = torch.randint(0, total, (count,), generator=generator).tolist()
                if count > 2:
                    rows[-1], rows[1] = 11, 12
                for place, tensor in places.items():
                    if library.mara_poison(handle):
                        stop(library.mara_problem().decode())
                    got = score(library, handle, tensor.data_ptr(), stride, rows)
                    errors = [abs(p - float(expected[row])) for p, row in zip(got, rows)]
                    worst, cases = max(worst, max(errors) / TOLERANCE[dtype]), cases + 1
                    good = all(error <= TOLERANCE[dtype] for error in errors)
                    good = good and all(p == 0 for p, row in zip(got, rows) if row in (11, 12))
                    if not good:
                        failures.append(f"D={width} K={count} {dtype} {place}: error {max(errors):.2e}")
            library.mara_destroy(handle)
    return cases, worst, failures


def check_repeats(torch, library, launches=10_000):
    differing = 0
    for dtype, count in (("bf16", 40), ("f16", 64), ("bf16", 1), ("f32", 4)):
        agent = Agent(torch, 4096)
        handle, states = agent.open(library, dtype), random_states(torch, 64, 4096, 4096, 5).cuda()
        different = ctypes.c_int32(0)
        if library.mara_repeat(handle, states.data_ptr(), 4096, (ctypes.c_int32 * count)(*range(count)), count, launches, ctypes.byref(different)):
            stop(library.mara_problem().decode())
        differing += different.value
        library.mara_destroy(handle)
    return differing


def check_sanitizer(folder):
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        return [("compute-sanitizer", "not installed", None)]
    program = folder / "sanitized"
    nvcc(["-lineinfo", ROOT / "bench" / "gpu" / "sanitized.cpp", *SOURCES, "-o", program])
    results = []
    for name in ("memcheck", "racecheck"):
        try:
            done = subprocess.run([tool, "--tool", name, "--error-exitcode", "9", str(program)], capture_output=True, text=True, timeout=150)
            lines = (done.stdout + done.stderr).strip().splitlines()
            results.append((name, lines[-1][:70] if lines else "no output", done.returncode == 0))
        except subprocess.TimeoutExpired:
            results.append((name, "not finished within 150 s", None))
    return results


class Timer:
    def __init__(self, torch, library):
        self.torch, self.library = torch, library
        properties = torch.cuda.get_device_properties(0)
        self.evict = torch.empty(2 * getattr(properties, "L2_cache_size", 64 << 20), dtype=torch.uint8, device="cuda")
        self.blocks = properties.multi_processor_count * 4

    def ceilings(self):
        torch = self.torch
        large = torch.empty(1 << 30, dtype=torch.uint8, device="cuda").fill_(1)
        small = torch.empty(8 << 20, dtype=torch.uint8, device="cuda").fill_(1)
        out, time_us = torch.zeros(4, dtype=torch.int32, device="cuda"), ctypes.c_float(0)

        def read(tensor, launches):
            if self.library.mara_time_read(tensor.data_ptr(), tensor.numel(), self.blocks, out.data_ptr(), launches, 20, ctypes.byref(time_us)):
                stop(self.library.mara_problem().decode())
            return tensor.numel() / time_us.value / 1e3

        size = 8192
        a, b = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
        matrix = 2 * size**3 / self.calls(lambda: a @ b, 20, False) / 1e6
        return {"memory_gb_s": read(large, 2), "l2_gb_s": read(small, 50), "matrix_tflops": matrix}

    def kernel(self, handle, states, count, evicted):
        time_us = ctypes.c_float(0)
        rows = (ctypes.c_int32 * count)(*range(count))
        evict = (self.evict.data_ptr(), self.evict.numel()) if evicted else (None, 0)
        if self.library.mara_time(handle, states.data_ptr(), 0, states.shape[1], rows, count, 20, 50, *evict, ctypes.byref(time_us)):
            stop(self.library.mara_problem().decode())
        return time_us.value

    def calls(self, call, count, evicted):
        """Median µs per call over seven rounds of `count`, with what the host takes."""
        torch = self.torch

        def rounds(run):
            times = []
            for _ in range(8):
                start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
                start.record()
                for _ in range(count):
                    run()
                end.record()
                end.synchronize()
                times.append(start.elapsed_time(end) * 1e3 / count)
            return sorted(times[1:])[3]

        if not evicted:
            return rounds(call)
        return rounds(lambda: (self.evict.zero_(), call())) - rounds(self.evict.zero_)

    def graph(self, call, evicted, count=20):
        """A graph of `count` calls, so that the launch of the graph itself hardly counts."""
        torch = self.torch

        def capture(run):
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):
                    run()
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                for _ in range(count):
                    run()
            return self.calls(graph.replay, 5, False) / count

        if not evicted:
            return capture(call)
        return capture(lambda: (self.evict.zero_(), call())) - capture(self.evict.zero_)


def measure(torch, library):
    timer, results = Timer(torch, library), {}
    ceilings = timer.ceilings()
    for width in TIMED_WIDTHS:
        agent = Agent(torch, width)
        handle, forward = agent.open(library, "bf16"), agent.module(torch, torch.bfloat16)
        states = random_states(torch, 64, width, width, 3).cuda()
        for count in TIMED_COUNTS:
            rows = torch.arange(count, device="cuda")
            with torch.inference_mode():
                eager = lambda: forward(states, rows)
                torch._dynamo.reset()
                compiled = None
                if time.monotonic() - started < BUDGET_S:
                    module = torch.compile(forward, dynamic=False)
                    compiled = lambda: module(states, rows)
                    compiled()
                for state in ("L2", "evicted"):
                    evicted = state == "evicted"
                    results[width, count, state] = {
                        "kernel": timer.kernel(handle, states, count, evicted),
                        "eager": timer.calls(eager, 100, evicted),
                        "compile": None if compiled is None else timer.calls(compiled, 100, evicted),
                        "graph": timer.graph(eager, evicted),
                    }
            print(f"  D={width} K={count}: {results[width, count, 'L2']}", flush=True)
        library.mara_destroy(handle)
    return results, ceilings


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", help="also write the tables to this file")
    parser.add_argument("--skip-sanitizer", action="store_true")
    parser.add_argument("--dry-run", action="store_true", help="only say whether everything needed is there")
    options = parser.parse_args()
    try:
        import torch
    except ImportError:
        stop("torch is not installed: pip install torch")
    if shutil.which("nvcc") is None:
        stop("there is no nvcc: install the CUDA toolkit (12.8 or later) and put its bin folder on the PATH")
    if not torch.cuda.is_available():
        stop("PyTorch finds no CUDA device: this benchmark needs one, with a driver and a CUDA build of torch")
    if options.dry_run:
        return print("ready")

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        print("building", flush=True)
        library = load(folder)
        print("checking", flush=True)
        cases, worst, failures = check_values(torch, library)
        for failure in failures[:20]:
            print(f"  {failure}")
        checks = [("against float64", f"{cases} cases, {len(failures)} failed, worst error {worst:.2f} of its tolerance", not failures)]
        differing = check_repeats(torch, library)
        checks.append(("10 000 launches, 4 variants", f"{differing} differ from the first", differing == 0))
        if not options.skip_sanitizer:
            checks += check_sanitizer(folder)
        print("timing", flush=True)
        results, ceilings = measure(torch, library)

    properties = torch.cuda.get_device_properties(0)
    machine = (f"{properties.name}, {properties.multi_processor_count} multiprocessors, compute capability {properties.major}.{properties.minor}, "
               f"CUDA {torch.version.cuda}, torch {torch.__version__}, {datetime.date.today()}, {time.monotonic() - started:.0f} s")
    text = report.summary(machine, checks, results, ceilings)
    if options.out:
        pathlib.Path(options.out).write_text(text + "\n")
    print("\n" + text)
    if any(passed is False for _, _, passed in checks):
        raise SystemExit(1)


if __name__ == "__main__":
    main()

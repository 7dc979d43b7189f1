"""What the benchmark concludes from its times: bytes, operations, targets and the table. Needs neither torch nor a GPU."""

HIDDEN1, HIDDEN2 = 1024, 256
TYPE_BYTES = {"f32": 4, "f16": 2, "bf16": 2}


def weight_bytes(width, dtype):
    """Bytes of the three layers' weights."""
    return (HIDDEN1 * width + HIDDEN2 * HIDDEN1 + 2 * HIDDEN2) * TYPE_BYTES[dtype]


def operations(width, count):
    """Multiplications and additions of `count` states."""
    return 2 * count * (HIDDEN1 * width + HIDDEN2 * HIDDEN1 + 2 * HIDDEN2)


def floors(width, count, dtype, ceilings, evicted):
    """Least times in µs: reading the weights and the states once, and multiplying."""
    bandwidth = ceilings["memory_gb_s"] if evicted else ceilings["l2_gb_s"]
    read = (weight_bytes(width, dtype) + 4 * width * count) / bandwidth / 1e3
    multiply = operations(width, count) / ceilings["matrix_tflops"] / 1e6
    return {"read": read, "multiply": multiply}


def judge(results, ceilings):
    """The targets of the H100, as (text, value, limit, met). `results`: {(width, count, state): {contender: µs}}, state "L2" or "evicted"."""
    verdicts = []

    def add(text, value, limit, at_least=False):
        met = None if value is None else (value >= limit if at_least else value <= limit)
        verdicts.append((text, value, limit, met))

    def ratio(times, contender):
        return times[contender] / times["kernel"] if times.get(contender) and times.get("kernel") else None

    times = results.get((4096, 40, "L2"), {})
    add("D=4096 K=40, weights in L2: kernel, at most µs", times.get("kernel"), 10.0)
    add("  PyTorch eager / kernel, at least", ratio(times, "eager"), 5.0, True)
    add("  PyTorch under a CUDA graph / kernel, at least", ratio(times, "graph"), 2.0, True)
    for width in (2048, 4096):
        for state, key in (("L2", "l2_gb_s"), ("evicted", "memory_gb_s")):
            once = weight_bytes(width, "bf16") / ceilings[key] / 1e3
            add(f"D={width} K=1, {state}: kernel, at most twice {once:.1f} µs for reading the weights", results.get((width, 1, state), {}).get("kernel"), 2 * once)
    return verdicts


def number(value, digits=1):
    return "-" if value is None else f"{value:.{digits}f}"


def table(header, rows):
    """Markdown, with columns as wide as they need to be."""
    cells = [header] + rows
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    line = lambda row: "| " + " | ".join(cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths))) + " |"
    return "\n".join([line(header), "|" + "|".join("-" * (w + 2) for w in widths) + "|"] + [line(row) for row in rows])


def summary(machine, checks, results, ceilings):
    """Everything that is printed at the end. `checks`: [(name, detail, passed or None)]."""
    mark = {True: "pass", False: "FALLS SHORT", None: "not measured"}
    out = [f"Device: {machine}", ""]
    out.append(table(["check", "result", "detail"], [[name, {True: "pass", False: "FAIL", None: "not run"}[passed], detail] for name, detail, passed in checks]))
    out += ["", "Ceilings measured here: " + ", ".join(f"{name} {number(value, 0)}" for name, value in ceilings.items()), ""]
    rows = []
    for (width, count, state), times in sorted(results.items(), key=lambda item: (item[0][0], item[0][2], item[0][1])):
        kernel = times.get("kernel")
        floor = floors(width, count, "bf16", ceilings, state == "evicted")
        share = None if not kernel else 100 * max(floor.values()) / kernel
        against = lambda name: times[name] / kernel if times.get(name) and kernel else None
        rows.append([f"D={width} K={count} {state}", number(kernel), number(floor["read"]), number(floor["multiply"], 2), number(share, 0)]
                    + [cell for name in ("eager", "compile", "graph") for cell in (number(times.get(name)), number(against(name)))])
    out.append(table(["bf16, µs", "kernel", "read floor", "matrix floor", "% of floor", "eager", "×", "compile", "×", "graph", "×"], rows))
    out += ["", table(["target (H100)", "value", "limit", ""], [[text, number(value), number(limit), mark[met]] for text, value, limit, met in judge(results, ceilings)])]
    return "\n".join(out)

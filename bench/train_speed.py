#!/usr/bin/env python3
"""Times training steps of the models of docs/results/trainer.md and compares them with what is asked of them.

    bench/train_speed.py [--only TEXT] [--rounds N] [--json FILE]
    bench/train_speed.py --from FILE

Rows are measured in turn, N rounds of `loglog train --bench` each; the median counts. Model FLOPs are those of docs/formats.md's
flops_mfu (attention as if full). Rates are those of this machine, the targets those of two cores with AMX. --from makes the table
of what --json wrote.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
LOGLOG = str(ROOT / "build/release/bin/loglog")

L4 = {"model.layers": 4, "model.width": 128, "model.heads": 4, "model.context": 256, "train.batch": 16}
L6 = {"model.layers": 6, "model.width": 256, "model.heads": 4, "model.context": 256, "train.batch": 16}
L6_WIDE = {"model.layers": 6, "model.width": 384, "model.heads": 6, "model.context": 256, "train.batch": 16}
GPT2 = {"model.layers": 12, "model.width": 768, "model.heads": 12, "model.context": 1024, "model.vocab": 50257,
        "train.batch": 1}
SMALL = {"model.layers": 2, "model.width": 64, "model.heads": 4, "model.context": 128, "train.batch": 32}

# name, keys, precision, options, processes side by side, steps, target (model FLOP/s; "peak": a share of the FMA peak; "f32": the
# rate of that row)
ROWS = [
    ("L4 C128 H4 V256 T256 B16", L4, "f32", [], 1, 15, 170e9),
    ("L4 C128 H4 V256 T256 B16", L4, "bf16", [], 1, 15, 500e9),
    ("L6 C256 H4 V256 T256 B16", L6, "f32", [], 1, 7, 240e9),
    ("L6 C256 H4 V256 T256 B16", L6, "bf16", [], 1, 10, 950e9),
    ("L6 C384 H6 V256 T256 B16", L6_WIDE, "f32", [], 1, 5, 270e9),
    ("L6 C384 H6 V256 T256 B16", L6_WIDE, "bf16", [], 1, 7, 1.2e12),
    ("GPT-2 124M, T1024 B1", GPT2, "f32", [], 1, 3, 260e9),
    ("GPT-2 124M, T1024 B1", GPT2, "bf16", [], 1, 5, 1.1e12),
    ("L6 C256 --isa avx2", L6, "f32", ["--isa", "avx2"], 1, 7, "peak"),
    ("L6 C256 --isa avx2", L6, "bf16", ["--isa", "avx2"], 1, 7, "f32"),
    ("two of L2 C64 H4 V256 T128 B32, one thread each", SMALL, "f32", [], 2, 25, 90e9),
    ("two of L2 C64 H4 V256 T128 B32, one thread each", SMALL, "bf16", [], 2, 25, 150e9),
]


def run(command):
    """Standard output and the most memory (bytes) of a process."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"train_speed: exit {process.returncode}: {' '.join(command)}")
    return text, usage.ru_maxrss * 1024


def measure(row, config, data):
    name, keys, precision, options, processes, steps, _ = row
    command = [LOGLOG, *options, "train", "--config", config, "--bench", str(steps), "--json"]
    for key, value in {**keys, "data.path": data, "train.precision": precision}.items():
        command += ["--set", f"{key}={value}"]
    if processes == 1:
        text, memory = run(command)
        return dict(json.loads(text), peak_bytes=memory)
    together = [subprocess.Popen(command + ["--threads", "1"], stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    results = [json.loads(process.communicate()[0]) for process in together]
    sums = {key: sum(r[key] for r in results) for key in ("flops_per_s", "tokens_per_s", "peak_flops_per_s")}
    return dict(results[0], **sums)


def measure_all(rows, rounds):
    """A list of results for each row."""
    measured = [[] for _ in rows]
    with tempfile.TemporaryDirectory() as folder:
        config, data = f"{folder}/c.toml", f"{folder}/text.tok"
        pathlib.Path(config).write_text("[train]\nsteps = 10\n")
        subprocess.run([LOGLOG, "data", "synth", "--world", "markov", "--set", "vocab=256", "--tokens", "2000000",
                        "-o", data], check=True, stdout=subprocess.DEVNULL)
        for _ in range(rounds):
            for row, results in zip(rows, measured):
                results.append(measure(row, config, data))
    return measured


def read(rows, path):
    measured = [[] for _ in rows]
    for line in pathlib.Path(path).read_text().splitlines():
        result = json.loads(line)
        for row, results in zip(rows, measured):
            if (row[0], row[2]) == (result["model"], result["precision"]):
                results.append(result)
    return measured


def median(results):
    return sorted(results, key=lambda r: r["flops_per_s"])[len(results) // 2]


def print_table(rows, measured):
    print("| model | precision | tokens/s | model GFLOP/s | of the peak | required | |\n|---|---|---|---|---|---|---|")
    float32 = {row[0]: median(results)["flops_per_s"] for row, results in zip(rows, measured) if results and row[2] == "f32"}
    for row, results in zip(rows, measured):
        if not results:
            continue
        middle, rates = median(results), [r["flops_per_s"] / 1e9 for r in results]
        target = {"peak": 0.55 * middle["peak_flops_per_s"], "f32": float32.get(row[0])}.get(row[6], row[6])
        wanted = "" if target is None else f"{target / 1e9:.0f}" + (", as f32" if row[6] == "f32" else "")
        verdict = "" if target is None else "pass" if middle["flops_per_s"] >= target else "fail"
        print(f"| {row[0]} | {row[2]} | {middle['tokens_per_s']:.0f} | {middle['flops_per_s'] / 1e9:.0f} ({min(rates):.0f} to "
              f"{max(rates):.0f}) | {middle['flops_per_s'] / middle['peak_flops_per_s']:.2f} | {wanted} | {verdict} |")
    memory = [r["peak_bytes"] for row, results in zip(rows, measured) if "GPT-2" in row[0] for r in results]
    if memory:
        print(f"\nGPT-2 124M takes {max(memory) / 2**30:.2f} GiB at most, pages of files included.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="rows whose name and precision contain this")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="write every measurement as a JSON line")
    parser.add_argument("--from", dest="source", help="measure nothing: the table of such lines")
    arguments = parser.parse_args()
    rows = [row for row in ROWS if arguments.only in f"{row[0]} {row[2]}"]
    measured = read(rows, arguments.source) if arguments.source else measure_all(rows, arguments.rounds)
    print_table(rows, measured)
    if arguments.json:
        lines = [json.dumps({"model": row[0], "precision": row[2], **result}) for row, results in zip(rows, measured)
                 for result in results]
        pathlib.Path(arguments.json).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

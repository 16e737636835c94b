#!/usr/bin/env python3
"""Plans a sweep of small runs, trains it, and compares time, memory and disk with what the plan said.

    bench/plan_accuracy.py [--runs SHARE] [--json FILE] [--keep FOLDER]

Asked for on an idle machine: time within 15% of the sum over the runs, the peak memory of every run within 10% or 32 MiB, disk not more
than planned. The load average is printed at the plan and at the end; where it was above half of the processors before, the machine was not
idle and the comparison says little.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
LOGLOG = str(ROOT / "build/release/bin/loglog")

# Four sizes, three lengths: 12 runs of seconds each, with the rules of a real sweep.
SWEEP = """name = "accuracy"
kind = "grid"
tokens = [{tokens}]
[rules]
batch = "max(4, round(8 * (D / 1e6)^0.85))"
lr = "0.0125 * (N_nonemb / 24576)^-0.21"
[model]
context = 64
bias = false
[train]
schedule = "wsd"
min_lr = 0
record_every = 20
[eval]
tokens = 262144
"""
SIZES = [("w16", 2, 16, 1), ("w32", 2, 32, 2), ("w48", 2, 48, 3), ("w64", 3, 64, 4)]
LENGTHS = [5e5, 1e6, 2e6]
MIB = 1 << 20


def loglog(*words):
    result = subprocess.run([LOGLOG, *words], stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(f"plan_accuracy: exit {result.returncode}: loglog {' '.join(words)}")
    return result.stdout


def bytes_of(folder):
    """Of the store and of what is beside it; files come and go meanwhile."""
    total = 0
    for path in pathlib.Path(folder).glob("s.db*"):
        for file in [path, *path.rglob("*")]:
            try:
                total += file.stat().st_size if file.is_file() else 0
            except FileNotFoundError:
                pass
    return total


def trained(config, data, folder):
    """Seconds that the sweep took on the clock, and the most bytes that it had on the disk."""
    most, ended = [0], threading.Event()

    def watch():
        while not ended.wait(0.02):
            most[0] = max(most[0], bytes_of(folder))

    watcher = threading.Thread(target=watch)
    watcher.start()
    begin = time.monotonic()
    loglog("sweep", "run", config, "--store", f"{folder}/s.db", "--data", data, "--quiet")
    seconds = time.monotonic() - begin
    ended.set()
    watcher.join()
    return seconds, max(most[0], bytes_of(folder))


def measure(folder, share):
    config, data = f"{folder}/s.toml", f"{folder}/text.tok"
    text = SWEEP.format(tokens=", ".join(f"{share * length:.0f}" for length in LENGTHS))
    for name, layers, width, heads in SIZES:
        text += f'[[size]]\nname = "{name}"\nlayers = {layers}\nwidth = {width}\nheads = {heads}\n'
    pathlib.Path(config).write_text(text)
    loglog("data", "synth", "--world", "markov", "--set", "vocab=256", "--tokens", "4000000", "-o", data)
    load = os.getloadavg()[0]
    # A store keeps the timings of a plan, so that sweep run repeats none; a run of another sweep makes one.
    first = f"{folder}/first.toml"
    pathlib.Path(first).write_text(text.replace('"accuracy"', '"first"', 1).split("tokens = [")[0] + "tokens = [2e4]\n" +
                                   text.split("]\n", 1)[1])
    loglog("sweep", "run", first, "--store", f"{folder}/s.db", "--data", data, "--quiet")
    plan = json.loads(loglog("sweep", "plan", config, "--store", f"{folder}/s.db", "--data", data, "--json"))
    seconds, disk = trained(config, data, folder)
    lines = loglog("sweep", "export", f"{folder}/s.db", "--format", "jsonl").splitlines()
    results = {r["run"]: r for r in map(json.loads, lines)}
    runs = [{"name": cell["name"], "planned_seconds": cell["seconds"], "seconds": results[cell["run"]]["seconds"],
             "planned_memory": cell["memory_bytes"], "memory": results[cell["run"]]["end"]["peak_bytes"]}
            for cell in plan["cells"]]
    return {"load": [load, os.getloadavg()[0]], "processors": os.cpu_count(), "planned_seconds": plan["seconds"], "seconds": seconds,
            "planned_disk": plan["disk_bytes"], "disk": disk, "runs": runs}


def print_table(m):
    print(f"load average {m['load'][0]:.2f} at the plan, {m['load'][1]:.2f} at the end, {m['processors']} processors")
    print(f"{'run':<16} {'seconds':>8} {'planned':>8} {'':>6} {'MiB':>7} {'planned':>8}")
    for r in m["runs"]:
        print(f"{r['name']:<16} {r['seconds']:>8.2f} {r['planned_seconds']:>8.2f} {r['planned_seconds'] / r['seconds'] - 1:>+6.0%} "
              f"{r['memory'] / MIB:>7.1f} {r['planned_memory'] / MIB:>8.1f}")
    own, planned_own = (sum(r[key] for r in m["runs"]) for key in ("seconds", "planned_seconds"))
    off_memory = max(abs(r["planned_memory"] - r["memory"]) for r in m["runs"]
                     if abs(r["planned_memory"] - r["memory"]) > 0) / MIB
    memory_holds = all(abs(r["planned_memory"] - r["memory"]) <= max(0.1 * r["memory"], 32 * MIB) for r in m["runs"])

    def line(what, planned, actual, unit, holds):
        print(f"{what:<22} {actual:>8.1f} {unit:<4} planned {planned:>8.1f}  {planned / actual - 1:>+5.0%}  {'pass' if holds else 'fail'}")

    line("sum over the runs", planned_own, own, "s", abs(planned_own / own - 1) <= 0.15)
    line("on the clock", m["planned_seconds"], m["seconds"], "s", abs(m["planned_seconds"] / m["seconds"] - 1) <= 0.15)
    line("disk", m["planned_disk"] / 1e6, m["disk"] / 1e6, "MB", m["planned_disk"] >= m["disk"])
    print(f"memory of a run: off by {off_memory:.1f} MiB at most  {'pass' if memory_holds else 'fail'}")
    if m["load"][0] > 0.5 * m["processors"]:
        print("the machine was busy: times compare with nothing")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=float, default=1, help="share of the runs' tokens: 0.1 for a quick look")
    parser.add_argument("--json", help="also write everything to this file")
    parser.add_argument("--keep", help="folder for text and store, which stay")
    arguments = parser.parse_args()
    if arguments.keep:
        pathlib.Path(arguments.keep).mkdir(parents=True)
        measured = measure(arguments.keep, arguments.runs)
    else:
        with tempfile.TemporaryDirectory() as folder:
            measured = measure(folder, arguments.runs)
    print_table(measured)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(measured) + "\n")


if __name__ == "__main__":
    main()

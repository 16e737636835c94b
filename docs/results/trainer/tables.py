#!/usr/bin/env python3
"""Tables of docs/results/trainer.md from the JSON lines of its sweeps (loglog sweep export --format jsonl).

    docs/results/trainer/tables.py variants FILE      loss of every variant at equal FLOPs, and its difference from the plain one
    docs/results/trainer/tables.py precision FILE     bfloat16 against float32, seed by seed

Differences are between runs of the same seed; intervals are Student's, 95%.
"""
import json
import statistics
import sys

# Student's t, two-sided 95%, by degrees of freedom.
T95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


def runs(path):
    """{variant: {seed: run}}, in the order of the file."""
    table = {}
    for line in open(path, encoding="utf-8"):
        run = json.loads(line)
        table.setdefault(run["size"].partition("-")[2], {})[run["seed"]] = run
    return table


def interval(values):
    """Mean and half width of its 95% interval."""
    mean = statistics.mean(values)
    return mean, T95[len(values) - 1] * statistics.stdev(values) / len(values) ** 0.5


def loss(run):
    return run["loss"] if run["status"] == "done" else float("nan")


def differences(these, base):
    return [loss(these[seed]) - loss(base[seed]) for seed in sorted(base)]


def variants(path):
    table = runs(path)
    base = table["gpt2"]
    print("| variant | N | tokens | loss | difference | tokens/s |\n|---|---|---|---|---|---|")
    for name, seeds in sorted(table.items(), key=lambda item: statistics.mean(loss(run) for run in item[1].values())):
        first = next(iter(seeds.values()))
        mean, _ = interval([loss(run) for run in seeds.values()])
        difference = ""
        if seeds is not base:
            delta, half = interval(differences(seeds, base))
            difference = f"{delta:+.4f} +- {half:.4f}"
        speed = statistics.median(run["end"]["tokens_per_s"] for run in seeds.values())
        print(f"| {name} | {first['N'] / 1e3:.0f}k | {first['D'] / 1e6:.2f}M | {mean:.4f} | {difference} | {speed:.0f} |")


def precision(path):
    table = runs(path)
    delta = differences(table["bf16"], table["f32"])
    mean, half = interval(delta)
    for name in ("f32", "bf16"):
        mean_loss, half_loss = interval([loss(run) for run in table[name].values()])
        print(f"{name:5} {mean_loss:.4f} +- {half_loss:.4f} nats per token over {len(table[name])} seeds")
    print(f"bf16 - f32, seed by seed: {mean:+.5f} +- {half:.5f}, from {min(delta):+.5f} to {max(delta):+.5f}")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("variants", "precision"):
        sys.exit(__doc__)
    {"variants": variants, "precision": precision}[sys.argv[1]](sys.argv[2])

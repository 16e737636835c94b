#!/usr/bin/env python3
"""Tables of the page, from the JSON lines of the runs.

    docs/results/isoflop-text/tables.py lr | schedule | batch | seeds | sources | cost
"""
import collections
import json
import math
import pathlib
import statistics
import sys

FOLDER = pathlib.Path(__file__).resolve().parent


def runs(sweep: str | None = None) -> list[dict]:
    lines = [line for file in sorted(FOLDER.glob("*.jsonl")) for line in file.read_text().splitlines()]
    return [run for run in map(json.loads, lines) if sweep in (None, run["sweep"])]


def cell(run: dict) -> tuple[float, str]:
    return run["budget"], run["size"]


def name(key: tuple[float, str]) -> str:
    mantissa, exponent = f"{key[0]:.2e}".split("e+")
    return f"{key[1]}-C{float(mantissa):g}e{int(exponent)}"


def learning_rates() -> None:
    """The values tried per cell, and what the rule gives there."""
    tuned = collections.defaultdict(list)
    for run in runs("lr-tuning-text") + runs("far-text"):
        tuned[cell(run)].append((run["config"]["train"]["lr"], run["loss"]))
    rule = {cell(run): run for run in runs("isoflop-text") + runs("lr-rule-text") if run["seed"] == 1}
    print(f'{"cell":10} {"tokens":>8}   loss at learning rate (* best) {"":51} rule: lr, loss, against the best')
    for key in sorted(tuned):
        values = sorted(tuned[key])
        best = min(loss for _, loss in values)
        row = "  ".join(f'{lr:.2g}: {loss:.4f}{"*" if loss == best else " "}' for lr, loss in values)
        text = name(key)
        if key in rule:
            lr, loss = rule[key]["config"]["train"]["lr"], rule[key]["loss"]
            row = f"{row:82}   {lr:.2g}  {loss:.4f}  {100 * (loss / best - 1):+.2f}%"
            text = f'{text:10} {rule[key]["D"]:8.2g}'
        print(f"{text:19}   {row}")


def schedules() -> None:
    """Shapes of the learning rate at the cells of decay-text.toml; means and sd between seeds."""
    groups = collections.defaultdict(list)
    tried = runs("decay-text")
    cells = {cell(run) for run in tried}
    for run in tried + [run for run in runs("isoflop-text") + runs("batch-text") if cell(run) in cells]:
        train = run["config"]["train"]
        groups[(*cell(run), train["schedule"], round(train["min_lr"] / train["lr"], 3), train["batch"])].append(run)
    print(f'{"cell":10} {"schedule":8} {"end / peak":>10} {"batch":>6} {"peak":>8} {"seeds":>6} {"loss":>8} {"sd":>7}')
    for (budget, size, schedule, end, batch), group in sorted(groups.items()):
        losses = [run["loss"] for run in group]
        sd = f"{100 * statistics.stdev(losses) / statistics.mean(losses):6.2f}%" if len(losses) > 1 else "-"
        print(f'{name((budget, size)):10} {schedule:8} {end:10.3f} {batch:6} {group[0]["config"]["train"]["lr"]:8.2g} '
              f'{len(losses):6} {statistics.mean(losses):8.4f} {sd:>7}')


def batches() -> None:
    """Half the batch against the rule's, the same seeds of both averaged."""
    whole, half = collections.defaultdict(dict), collections.defaultdict(dict)
    for sweep, groups in (("isoflop-text", whole), ("batch-text", half)):
        for run in runs(sweep):
            groups[cell(run)][run["seed"]] = run
    print(f'{"cell":10} {"batch":>6} {"loss":>8} {"half":>5} {"loss":>8} {"change":>8}   by seed')
    for key in sorted(half):
        both = sorted(whole[key].keys() & half[key].keys())
        if not both:
            continue
        before = statistics.mean(whole[key][seed]["loss"] for seed in both)
        after = statistics.mean(half[key][seed]["loss"] for seed in both)
        by_seed = "  ".join(f'{whole[key][seed]["loss"]:.4f} -> {half[key][seed]["loss"]:.4f}' for seed in both)
        print(f'{name(key):10} {whole[key][both[0]]["config"]["train"]["batch"]:6} {before:8.4f} '
              f'{half[key][both[0]]["config"]["train"]["batch"]:5} {after:8.4f} {100 * (after / before - 1):+7.2f}%   {by_seed}')


def seeds() -> None:
    """Relative sd between seeds, pooled over the budgets of a size."""
    groups = collections.defaultdict(list)
    for run in runs("isoflop-text"):
        if run["status"] == "done":
            groups[(run["end"]["n_nonemb"], run["size"], run["budget"])].append(run["loss"])
    squares = collections.defaultdict(list)
    for (n, size, _), losses in groups.items():
        if len(losses) > 1:
            squares[(n, size)].append((statistics.variance(losses) / statistics.mean(losses) ** 2, len(losses) - 1))
    print(f'{"size":5} {"N_nonemb":>9} {"sd":>7} {"degrees of freedom":>19}')
    for (n, size), parts in sorted(squares.items()):
        freedom = sum(df for _, df in parts)
        sd = math.sqrt(sum(value * df for value, df in parts) / freedom)
        print(f"{size:5} {n:9.0f} {100 * sd:6.2f}% {freedom:19}")


def sources() -> None:
    """The best cell of every budget, seeds averaged, by source."""
    groups = collections.defaultdict(list)
    for run in runs("isoflop-text"):
        if run["status"] == "done":
            groups[cell(run)].append(run)
    names = sorted({name for group in groups.values() for name in group[0]["end"]["sources"]})
    mean = {key: statistics.mean(run["loss"] for run in group) for key, group in groups.items()}
    print(f'{"budget":8} {"best size":10} {"all":>8} ' + " ".join(f"{name:>8}" for name in names))
    for budget in sorted({budget for budget, _ in groups}):
        best = min((key for key in groups if key[0] == budget), key=lambda key: mean[key])
        losses = [statistics.mean(run["end"]["sources"][name] for run in groups[best]) for name in names]
        print(f'{budget:<8.1e} {best[1]:10} {mean[best]:8.4f} ' + " ".join(f"{loss:8.4f}" for loss in losses))


def cost() -> None:
    by_sweep = collections.defaultdict(list)
    seen = set()
    for run in sorted(runs(), key=lambda run: (run["sweep"] != "isoflop-text", run["sweep"])):
        if run["run"] not in seen:  # a run of two sweeps was trained once
            by_sweep[run["sweep"]].append(run)
        seen.add(run["run"])
    print(f'{"sweep":18} {"runs":>5} {"FLOPs":>9} {"hours of run time":>18} {"longest, minutes":>17} {"diverged":>9}')
    for name, group in sorted(by_sweep.items()):
        print(f'{name:18} {len(group):5} {sum(run["C"] for run in group):9.2e} '
              f'{sum(run["seconds"] for run in group) / 3600:18.1f} {max(run["seconds"] for run in group) / 60:17.1f} '
              f'{sum(run["status"] == "diverged" for run in group):9}')


TABLES = {"lr": learning_rates, "schedule": schedules, "batch": batches, "seeds": seeds, "sources": sources, "cost": cost}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in TABLES:
        sys.exit(__doc__)
    TABLES[sys.argv[1]]()

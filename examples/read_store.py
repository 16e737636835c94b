#!/usr/bin/env python3
"""Finished runs of a loglog store: as a table, a curve, and the best size for each budget. Python's own library alone.

    examples/read_store.py STORE [SWEEP]
"""
import json
import sqlite3
import sys
from collections import defaultdict


def open_store(path):
    """Read-only: a sweep may be training into it."""
    store = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    store.row_factory = sqlite3.Row
    return store


def runs(store, sweep=None):
    """One dictionary for each finished run: identity, name, size, N, D, C, seed, loss (nats per token), config, end."""
    rows = store.execute(
        """SELECT r.id, r.identity, r.config, r.seed, r.n AS N, r.d AS D, r.c AS C, m.sweep, m.name, m.size, m.budget, x.loss, x."end"
           FROM run r JOIN member m ON m.run = r.id JOIN result x ON x.run = r.id
           WHERE x.state = 'done' AND m.sweep <> '' AND (?1 IS NULL OR m.sweep = ?1) ORDER BY r.c, r.n, r.seed""", (sweep,))
    for row in rows:
        yield {**row, "config": json.loads(row["config"]), "end": json.loads(row["end"])}


def curve(store, run):
    """(tokens, training loss, validation loss) of a run, None where not measured."""
    points = store.execute("SELECT tokens, train_loss, val_loss FROM curve WHERE run = ? ORDER BY step", (run["id"],))
    return [tuple(point) for point in points]


def main():
    store = open_store(sys.argv[1])
    finished = list(runs(store, sys.argv[2] if len(sys.argv) > 2 else None))
    print(f"{'run':<24}{'N':>10}{'D':>12}{'C':>10}{'loss':>9}  learning rate")
    for run in finished:
        rate = run["config"]["train"]["lr"]
        print(f"{run['name']:<24}{run['N']:>10.4g}{run['D']:>12.4g}{run['C']:>10.3g}{run['loss']:>9.4f}  {rate:g}")
    by_budget = defaultdict(list)
    for run in finished:
        by_budget[run["budget"]].append(run)
    for budget, same in sorted(by_budget.items()):
        best = min(same, key=lambda run: run["loss"])
        if budget > 0:
            print(f"best of {len(same)} at {budget:.3g} FLOPs: {best['name']}, {best['loss']:.4f}, {len(curve(store, best))} points of its curve")


if __name__ == "__main__":
    main()

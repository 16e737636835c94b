#!/usr/bin/env python3
"""Kurtosis by factor, from what `loglog outliers --ladder outliers.db --json` prints.

    docs/results/outlier-factors/table.py docs/results/outlier-factors/ladder.json
"""
import collections
import json
import math
import sys


def main():
    runs = collections.defaultdict(dict)  # (size, variant) -> seed -> run
    for run in json.load(open(sys.argv[1]))["models"]:
        size, _, rest = run["name"].split("-", 2)
        variant, seed = rest.rsplit("-s", 1)
        runs[size, variant][int(seed)] = run
    # Spread of ln kurtosis between two seeds of one variant, pooled: what an effect has to exceed.
    spreads = [(math.log(s[1]["kurtosis"]) - math.log(s[2]["kurtosis"])) ** 2 / 2 for s in runs.values() if {1, 2} <= set(s)]
    sd = math.sqrt(sum(spreads) / len(spreads))
    print(f"seed noise: a factor of {math.exp(sd):.2f} in kurtosis (one standard deviation, {len(spreads)} pairs of seeds)")
    print(f"smallest effect that two seeds against two of the base would show (2.8 standard errors): a factor of {math.exp(2.8 * sd):.2f}\n")
    print("| size | factor | loss | kurtosis | over the base's | max/median | outliers by 6.0 / 25% / 6% |\n|---|---|---|---|---|---|---|")

    def mean(seeds):
        return math.exp(sum(math.log(run["kurtosis"]) for run in seeds.values()) / len(seeds))

    for (size, variant), seeds in sorted(runs.items(), key=lambda item: (item[0][0], -mean(item[1]))):
        base = runs.get((size, "base"))
        common = {seed: base[seed] for seed in seeds if seed in base} if base else {}
        ratio = f"{mean({s: seeds[s] for s in common}) / mean(common):.2f}" if common else "-"

        def listed(key, form):
            return ", ".join(form.format(seeds[seed][key]) for seed in sorted(seeds))

        print(f"| {size} | {variant} | {listed('loss', '{:.3f}')} | {listed('kurtosis', '{:.2f}')} | {ratio} | "
              f"{listed('max_to_median', '{:.1f}')} | {listed('outliers', '{}')} |")


if __name__ == "__main__":
    main()

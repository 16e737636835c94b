#!/usr/bin/env python3
"""Tables of docs/results/kernels.md from what `bench_peers --json` wrote.

    tables.py machine FILE...                 what was measured with what
    tables.py targets FILE...                 every requirement: median, lowest, verdict
    tables.py rows FILE SECTION [SET...]      all shapes of a section, or of some of its sets
    tables.py training FILE                   f32 training shapes by size of the ladder and pass
    tables.py worst FILE COUNT                f32 training shapes that lose most to the best library
    tables.py room FILE...                    how far below the peak the best libraries are, where a ratio to them is required

Rates are medians over rounds in 1e9 per second; ratios and shares are medians of what was measured in one round.
"""
import json
import statistics
import sys
from pathlib import Path

PASSES = ("forward", "d_input", "d_weight")


def load(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))


def name_of(path):
    """Machine and file: xeon/avx2-f32."""
    return f"{Path(path).parent.name}/{Path(path).stem}"


def section(data, name):
    for found in data["sections"]:
        if found["section"] == name:
            return found
    sys.exit(f"tables.py: no section {name}")


def training_rows(data):
    return [row for row in section(data, "f32")["rows"] if row["set"] == "training"]


def number(value, form="{:.2f}"):
    return form.format(value) if value else "-"


def machine(*paths):
    for path in paths:
        d = load(path)
        libraries = ", ".join(f"{name} ({kernels})" for name, kernels in d["libraries"].items())
        print(f"{name_of(path)}: {d['cpu']}, {d['processors']} processors; isa {d['isa']}, {d['threads']} threads; "
              f"{d['rounds']} rounds of {1e3 * d['seconds_per_round']:.0f} ms, {d['clock']}; load {d['load_before']:.1f} before, "
              f"{d['load_after']:.1f} after; GCC {d['compiler']}, commit {d['commit']}; {libraries}")


def targets(*paths):
    print(f"{'file':<20} {'what':<34} {'measure':<7} {'shapes':>6} {'median':>8} {'required':>8} {'lowest':>8} {'required':>8}  verdict")
    for path in paths:
        for found in load(path)["sections"]:
            for r in found["requirements"]:
                scale = 1e-12 if r["measure"] == "rate" else 1.0
                values = [number(scale * r.get(key, 0.0))
                          for key in ("median", "required_median", "minimum", "required_each")]
                print(f"{name_of(path):<20} {found['title']:<34} {r['measure']:<7} {r['shapes']:>6} "
                      + " ".join(f"{value:>8}" for value in values) + f"  {r['verdict']}")


def rows(path, name, *sets):
    found = section(load(path), name)
    chosen = [row for row in found["rows"] if not sets or row["set"] in sets]
    names = list(dict.fromkeys(rate["name"] for row in chosen for rate in row["rates"]))
    print(f"{found['unit'] + ', ceiling: ' + found['ceiling']:<40}" + "".join(f"{n:>18}" for n in names)
          + f"{'ratio':>8}{'share':>7}  result")
    for row in chosen:
        rates = {rate["name"]: rate for rate in row["rates"]}
        cells = ""
        for n in names:
            rate = rates.get(n)
            text = "-"
            if rate:
                spread = (rate["maximum"] - rate["minimum"]) / rate["median"]
                text = f"{1e-9 * rate['median']:.1f} ~{100 * spread:.0f}%"
            cells += f"{text:>18}"
        print(f"{row['shape']:<40}{cells}{number(row['ratio']):>8}{number(row['share']):>7}  {row['result']}")


def training(path):
    groups = {}
    for row in training_rows(load(path)):
        size, _, which = row["shape"].split()[-3:]
        groups.setdefault(size, {}).setdefault(which, []).append(row)
    print("size   " + "".join(f"{'ratio ' + p:>18}{'share':>7}" for p in PASSES))
    for size, passes in groups.items():
        cells = ""
        for p in PASSES:
            ratio = statistics.median(row["ratio"] for row in passes[p])
            share = statistics.median(row["share"] for row in passes[p])
            cells += f"{number(ratio):>18}{number(share):>7}"
        print(f"{size:<7}{cells}")


def worst(path, count):
    for row in sorted(training_rows(load(path)), key=lambda r: r["ratio"])[:int(count)]:
        best = max((r for r in row["rates"][1:] if r["counted"]), key=lambda r: r["median"])
        print(f"{row['shape']:<34} ours {1e-9 * row['rates'][0]['median']:6.1f}  best {best['name']:<9} "
              f"{1e-9 * best['median']:6.1f}  ratio {row['ratio']:.2f}  share of the peak {row['share']:.2f}")


def room(*paths):
    print(f"{'file':<18} {'what':<28} {'shapes':>6}  {'best library, share of the peak':>31}  {'ratio of a kernel at the peak':>29}  required")
    for path in paths:
        for found in load(path)["sections"]:
            required = [r["required_median"] for r in found["requirements"] if r["measure"] == "ratio"]
            shares = [row["share"] / row["ratio"] for row in found["rows"]
                      if row["ratio"] and row["share"] and row["required"].startswith("ratio")]
            if found["section"] not in ("f32", "bf16", "int8") or not shares:
                continue
            median = statistics.median(shares)
            print(f"{name_of(path):<18} {found['title']:<28} {len(shares):>6}  {median:>31.2f}  {1 / median:>29.2f}  {required[0]:.2f}")


COMMANDS = {f.__name__: f for f in (machine, targets, rows, training, worst, room)}

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[sys.argv[1]](*sys.argv[2:])

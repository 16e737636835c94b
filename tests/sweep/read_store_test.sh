#!/usr/bin/env bash
# The script that reads a store without loglog says of kept runs what loglog exports of them.
set -euo pipefail
loglog=$1
source=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$loglog" store merge "$folder/runs.db" "$source/docs/results/isoflop-text/runs.jsonl" >/dev/null
python3 "$source/examples/read_store.py" "$folder/runs.db" isoflop-text >"$folder/read"
"$loglog" sweep export "$folder/runs.db" --format csv -o "$folder/runs.csv"
python3 - "$folder/read" "$folder/runs.csv" <<'END'
import csv
import sys

read = {line.split()[0]: line.split() for line in open(sys.argv[1])}
exported = list(csv.DictReader(open(sys.argv[2])))
assert len(exported) == 47, len(exported)
for run in exported:
    words = read[run["name"]]
    assert words[4] == f"{float(run['loss']):.4f}" and float(words[5]) == float(run["train.lr"]), (words, run["loss"])
best = min((run for run in exported if float(run["budget"]) == 3e13), key=lambda run: float(run["loss"]))
last = open(sys.argv[1]).read().splitlines()[-1]
assert best["name"] in last and "best of 12" in last, last
END
echo "ok"

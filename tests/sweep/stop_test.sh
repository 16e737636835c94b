#!/bin/bash
# Exit codes of a sweep that is stopped, limited or fails, and that what was stopped continues from there.
#   stop_test.sh LOGLOG_BINARY
set -u
loglog=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
fail() { echo "FAILED: $*"; cat log; exit 1; }
expect() { # expect CODE COMMAND...
  local wanted=$1
  shift
  "$@" > log 2>&1
  local code=$?
  ((code == wanted)) || fail "exit $code instead of $wanted: $*"
}
count() { "$loglog" sweep status "$1" | awk -v state="$2" 'NF == 2 && $2 == state {print $1}'; }

expect 0 "$loglog" data synth --world markov -o tiny.tok --tokens 200000
sweep_file() { # sweep_file NAME TOKENS LR
  cat > "$1.toml" << TOML
name = "$1"
kind = "grid"
tokens = [$2]
seeds = [1, 2]
size = [{name = "a", layers = 2, width = 32, heads = 2}]
[model]
context = 32
[data]
path = "tiny.tok"
[train]
batch = 4
lr = $3
min_lr = 0
[eval]
tokens = 4096
TOML
}

# 1e8 tokens take minutes: nobody waits for the end.
sweep_file long 1e8 1e-3
"$loglog" sweep plan long.toml | grep -q "more than once" || fail "no warning of 500 epochs"
expect 6 "$loglog" sweep plan long.toml --max-flops 1e9
expect 6 "$loglog" sweep run long.toml --store refused.db --max-flops 1e9
[[ ! -e refused.db ]] || fail "a refused sweep left a store"
expect 75 "$loglog" sweep run long.toml --max-time 2s
[[ $(count long.db checkpointed) == 2 ]] || fail "--max-time left no checkpoints"
"$loglog" sweep resume long.db > log 2>&1 &
sleep 2
kill -TERM $!
wait $!
[[ $? == 75 ]] || fail "TERM does not end with 75"
[[ $(count long.db checkpointed) == 2 ]] || fail "TERM left no checkpoints"
# Other data is no reason to train something else under these runs' names.
expect 0 "$loglog" data synth --world markov -o other.tok --tokens 200100
expect 4 "$loglog" sweep resume long.db --data other.tok
grep -q "other.tok.*checksum" log || fail "other data is not named"
[[ $(count long.db checkpointed) == 2 ]] || fail "runs were lost to other data"

# Runs keep the instruction-set row that they began with; in a store that has no note of it, by their checkpoints.
note() { python3 -c "import sqlite3; db = sqlite3.connect('long.db'); $1; db.commit()"; }
if [[ $(note 'print(db.execute("SELECT value FROM note WHERE key = \"isa long\"").fetchone()[0])') != scalar ]]; then
  expect 2 "$loglog" --isa scalar sweep resume long.db
  expect 2 "$loglog" --isa scalar sweep run long.toml
  note 'db.execute("DELETE FROM note WHERE key = \"isa long\"")'
  expect 2 "$loglog" --isa scalar sweep resume long.db
  [[ $(count long.db checkpointed) == 2 ]] || fail "runs were lost to another row"
fi

first=$("$loglog" sweep status long.db --json | grep -c '"loss"')
((first == 0)) || fail "an unfinished run has a loss"

# Without its data the sweep stops and no run is lost to that. Too long to be done within a millisecond.
sweep_file short 2e5 1e-3
expect 75 "$loglog" sweep run short.toml --max-time 0.001s
mv tiny.tok moved.tok
"$loglog" sweep resume short.db > log 2>&1 && fail "a sweep without its data ended well"
grep -q tiny.tok log || fail "the missing file is not named"
[[ -z $(count short.db failed)$(count short.db running) ]] || fail "runs failed for want of data"
expect 0 "$loglog" sweep resume short.db --data moved.tok
[[ $(count short.db "done") == 2 ]] || fail "the second try"

# JSON lines make the store again, and the sweep knows that it is done.
expect 0 "$loglog" sweep export short.db --format jsonl -o runs.jsonl
expect 0 "$loglog" store merge copy.db runs.jsonl
"$loglog" sweep run short.toml --data moved.tok --store copy.db > log 2>&1 || fail "run over merged results"
grep -q "2 of them finished" log || fail "merged results are not known"
cmp <("$loglog" sweep export short.db) <("$loglog" sweep export copy.db) || fail "the copy differs"

# The page names what made the data, the store and itself.
mv moved.tok tiny.tok
expect 0 "$loglog" report short.db -o short.html
for command in "data synth --world markov -o tiny.tok" "sweep run short.toml" "sweep resume short.db" "report short.db"; do
  grep -q -e "$command" short.html || fail "the report lacks: $command"
done

# A sweep trains its own runs alone, and shares with another what both planned.
sweep_file quick 20000 1e-3
sweep_file twin "20000, 30000" 1e-3
cp long.db both.db
expect 0 "$loglog" sweep run quick.toml --store both.db
grep -q "2 runs of other sweeps wait" log || fail "the waiting runs of another sweep are not mentioned"
[[ $(count both.db "done") == 2 && $(count both.db checkpointed) == 2 ]] || fail "a sweep trained the runs of another"
expect 0 "$loglog" sweep run twin.toml --store both.db
grep -q "4 runs, 2 of them finished" log || fail "shared runs are not known"
"$loglog" sweep export both.db > both.csv
[[ $(grep -c ",quick," both.csv) == 2 && $(grep -c ",twin," both.csv) == 4 ]] || fail "a shared run is not in both tables"
expect 0 "$loglog" report both.db --sweep twin -o twin.html

# A sweep is what its file says now: runs that it dropped, begun or done, are neither trained nor fitted for it.
expect 6 "$loglog" fit --law chinchilla --input long.db --bootstrap 0
cp long.db changed.db
sed 's/^name = .*/name = "long"/' quick.toml > changed.toml
expect 0 "$loglog" sweep run changed.toml --store changed.db --max-flops 1e12
grep -q "2 runs are no longer in changed.toml" log || fail "runs that were left behind are not named"
[[ $(count changed.db "done") == 2 && $(count changed.db checkpointed) == 2 ]] || fail "a dropped run was trained"
expect 0 "$loglog" sweep run changed.toml --store changed.db --data other.tok
"$loglog" sweep export changed.db > changed.csv
[[ $(grep -c ",long," changed.csv) == 2 && $(wc -l < changed.csv) == 5 ]] || fail "a sweep of two data sets"
expect 0 "$loglog" store verify changed.db
expect 0 "$loglog" sweep run quick.toml --store=-dash.db

# Divergence is a result: the sweep goes on and ends well.
sweep_file wild 20000 1e6
expect 0 "$loglog" sweep run wild.toml
[[ $(count wild.db diverged) == 2 ]] || fail "no divergence at a learning rate of 1e6"
"$loglog" sweep export wild.db > wild.csv
python3 - << 'PYTHON' || fail "a diverged run has a loss, or none is in the table"
import csv
rows = list(csv.DictReader(open("wild.csv")))
assert len(rows) == 2 and all(row["status"] == "diverged" and row["loss"] == "" for row in rows)
PYTHON

expect 4 "$loglog" sweep resume none.db
expect 4 "$loglog" sweep export tiny.tok
expect 2 "$loglog" sweep run long.toml --max-time soon
expect 2 "$loglog" sweep run long.toml --max-time inf
expect 2 "$loglog" sweep run long.toml --max-flops nan
expect 2 "$loglog" sweep resume long.db --retry everything
echo ok

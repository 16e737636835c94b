#!/bin/bash
# `sweep commands`: one command per run, in any order, two at a time, some killed, all of them again; the merged spools are
# the store of a local sweep, byte for byte. Exit codes of a single run.
#   commands_test.sh LOGLOG_BINARY
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

expect 0 "$loglog" data synth --world markov -o tiny.tok --tokens 200000
sweep_file() { # sweep_file NAME TOKENS LR
  cat > "$1.toml" << TOML
name = "$1"
kind = "grid"
tokens = [$2]
seeds = [1, 2, 3]
size = [{name = "a", layers = 1, width = 16, heads = 2}, {name = "b", layers = 1, width = 32, heads = 2}]
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
sweep_file tiny "40000, 160000" 1e-3
expect 0 "$loglog" sweep run tiny.toml --store calm.db --quiet
expect 0 "$loglog" sweep export calm.db --format jsonl --no-timing -o calm.jsonl

# A folder that a shell would take apart; the commands need no working directory.
"$loglog" sweep commands tiny.toml --folder "a 'b'.job" > list || fail "commands"
[[ $(wc -l < list) == 12 && $(sort -u list | wc -l) == 12 ]] || fail "not one command per run"
shuf list | head -n 9 > some
(cd / && xargs -d '\n' -n 1 -P 2 timeout -s KILL 1 sh -c < "$folder/some" > /dev/null 2>&1)
sed -n 1p list > first
expect 0 sh first
expect 0 sh first  # done, and nothing is trained
[[ $(grep -ch . "a 'b'.job"/spool/*.jsonl | awk '{all += $1} END {print all}') -le 12 ]] || fail "a run was trained twice"
(cd / && xargs -d '\n' -n 1 -P 2 sh -c < "$folder/list" > "$folder/log" 2>&1) || fail "all of them again"
expect 0 "$loglog" store merge merged.db "a 'b'.job"/spool/*.jsonl
grep -q "12 results added" log || fail "results are missing"
# A spool whose writer was killed within a line, in another order.
for spool in "a 'b'.job"/spool/*.jsonl; do printf '{"schema":1,"run":"' >> "$spool"; break; done
mapfile -t spools < <(printf '%s\n' "a 'b'.job"/spool/*.jsonl | tac)
expect 0 "$loglog" store merge merged.db "${spools[@]}"
grep -q ": 0 results added, 12 known already" log || fail "merging twice is not merging once"
grep -q "breaks off" log || fail "a torn line is not named"
expect 0 "$loglog" sweep export merged.db --format jsonl --no-timing -o merged.jsonl
cmp calm.jsonl merged.jsonl || fail "the results differ from those of a local sweep"
expect 0 "$loglog" store verify merged.db

# A fork brings its trunk, unless another command trains that: then it is run again.
sed 's/"tiny"/"trunk"/; s/^kind.*/&\nshare_trunks = true/; s/^\[train\]/&\nschedule = "wsd"/' tiny.toml > trunk.toml
expect 0 "$loglog" sweep run trunk.toml --store trunk.db --quiet
"$loglog" sweep commands trunk.toml > list || fail "commands"
expect 0 sh -c "$(tail -n 1 list)"
tac list | xargs -d '\n' -n 1 -P 2 sh -c > log 2>&1
(xargs -d '\n' -n 1 -P 2 sh -c < list > log 2>&1) || fail "forks before their trunks"
expect 0 "$loglog" store merge alone.db trunk.job/spool/*.jsonl
cmp <("$loglog" sweep export trunk.db --no-timing) <("$loglog" sweep export alone.db --no-timing) || fail "forks differ"

# A run that another result contradicts is named, and stays.
sed 's/"loss":\([0-9.]*\)/"loss":9.5/; s/"val_loss":[0-9.]*,/"val_loss":9.5,/' calm.jsonl | head -n 1 > other.jsonl
expect 0 "$loglog" store merge merged.db other.jsonl
grep -q "here, loss 9.5 there" log || fail "a contradiction is not named"
: > empty.jsonl
expect 4 "$loglog" store merge none.db empty.jsonl
[[ ! -e none.db ]] || fail "an empty store"

# A signal, its exit code, and the same command again. 1e8 tokens take minutes: nobody waits for the end.
sweep_file long 1e8 1e-3
"$loglog" sweep commands long.toml > list || fail "commands"
first=$(sed -n 1p list)
for signal in TERM USR1; do
  sh -c "exec $first" > log 2>&1 &
  sleep 1.5
  kill -"$signal" $!
  wait $!
  [[ $? == 75 ]] || fail "$signal does not end with 75"
  ls long.job/runs/*/*/checkpoints/* > /dev/null 2>&1 || fail "$signal left no checkpoint"
done
sh -c "exec $first" > log 2>&1 &
holder=$!
sleep 1.5
expect 75 sh -c "$first"
grep -q "by another task" log || fail "a run that is being trained is trained twice"
kill -TERM $holder
wait $holder

# Data that is not there, a folder that is none, a run of another sweep, a name that is taken.
mv tiny.tok moved.tok
expect 4 sh -c "$first"
grep -q tiny.tok log || fail "the missing file is not named"
mv moved.tok tiny.tok
expect 4 "$loglog" sweep task none.job
expect 4 "$loglog" sweep task long.job --run 0
expect 2 "$loglog" sweep commands tiny.toml --folder long.job
expect 2 "$loglog" sweep submit tiny.toml
expect 2 "$loglog" sweep submit tiny.toml --slurm --array 2000
PATH=/none expect 1 "$loglog" sweep submit long.toml --slurm
grep -q "there is no sbatch" log || fail "a missing sbatch is not named"
expect 0 "$loglog" sweep submit long.toml --slurm --dry-run
bash -n long.job/job.sh || fail "the script is no bash"

# Divergence is a result.
sweep_file wild 20000 1e6
expect 0 "$loglog" sweep submit wild.toml --slurm --dry-run
expect 0 "$loglog" sweep task wild.job --task 7
grep -q "6 runs committed" log || fail "not all diverged"
expect 0 "$loglog" store merge wild.db wild.job/spool/7-*.jsonl
[[ $("$loglog" sweep status wild.db | grep -c '^6 diverged') == 1 ]] || fail "diverged runs are not in the store"
echo ok

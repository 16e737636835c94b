#!/bin/bash
# A sweep on a real Slurm: an array that trains to its end, tasks whose time is nearly over, tasks that are preempted; all
# of them resumed, and the table is that of a local sweep, byte for byte.
#   slurm_test.sh LOGLOG_BINARY
# Exit 77 where there is no Slurm.
set -u
loglog=$1
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=/dev/null
source "$here/slurm_cluster.sh"
cluster_is_installed || exit 77
folder=$(mktemp -d)
trap 'stop_cluster; rm -rf "$folder"' EXIT
cd "$folder" || exit 1
fail() {
  echo "FAILED: $*"
  cat log
  tail -n 30 work/logs/* cluster/*.log
  exit 1
}
expect() { # expect CODE COMMAND...
  local wanted=$1
  shift
  "$@" > log 2>&1
  local code=$?
  ((code == wanted)) || fail "exit $code instead of $wanted: $*"
}
wait_until() { # wait_until SECONDS WHAT COMMAND...: until the command succeeds
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    ((SECONDS < end)) || fail "in vain: $what"
    sleep 0.2
  done
}
tasks() { squeue --noheader --array --partition=low --format=%A "$@"; }
running() { (($(tasks --states=RUNNING | wc -l) == $1)); }
results() { (($(cat work/spool/*.jsonl 2> /dev/null | wc -l) >= $1)); }
training() { (($(cat work/leases/*.* 2> /dev/null | grep -o '"state":"running"' | wc -l) == $1)); }
ended() { (($(cat work/logs/* 2> /dev/null | grep -c "; exit code $1\$") >= $2)); }
start_waiting() { # Slurm lets a task that was queued again wait for two minutes; within a second slurmd refuses it
  local task
  sleep 2
  for task in $(tasks --states=PENDING); do scontrol update JobId="$task" StartTime=now; done
}

expect 0 "$loglog" data synth --world markov -o tiny.tok --tokens 200000
cat > tiny.toml << TOML
name = "tiny"
kind = "grid"
tokens = [150000, 500000]
seeds = [1, 2, 3]
share_trunks = true
size = [{name = "a", layers = 1, width = 16, heads = 2}, {name = "b", layers = 2, width = 32, heads = 2}]
[model]
context = 32
[data]
path = "tiny.tok"
[train]
batch = 4
schedule = "wsd"
[eval]
tokens = 4096
TOML
expect 0 "$loglog" sweep run tiny.toml --store calm.db --quiet
expect 0 "$loglog" sweep export calm.db --format jsonl --no-timing -o calm.jsonl

start_cluster "$folder/cluster" || fail "Slurm did not start"
expect 0 "$loglog" sweep submit tiny.toml --slurm --array 2 --partition low --time 30 --folder work --dry-run
[[ -z $(tasks) ]] || fail "a dry run submitted something"
! command -v shellcheck > /dev/null || shellcheck work/job.sh || fail "shellcheck on the script"
expect 0 "$loglog" sweep submit tiny.toml --slurm --array 2 --partition low --time 30 --folder work
wait_until 30 "two tasks that run" running 2

# The signal before the time limit: the tasks checkpoint and queue themselves again. Both, so that none trains all meanwhile.
wait_until 60 "a first result" results 1
for task in $(tasks --states=RUNNING); do expect 0 scancel --batch --signal=USR1 "$task"; done
wait_until 30 "tasks that were warned of their limit" ended 75 2
queued() { (($(tasks --states=PENDING | wc -l) == 2)); }
wait_until 30 "their place in the queue" queued
start_waiting > log 2>&1
wait_until 30 "two tasks again" running 2
wait_until 30 "two runs in training" training 2

# A job of higher priority takes both processors.
printf '#!/bin/bash\nsleep 1\n' > urgent.sh
expect 0 sbatch --partition=high --cpus-per-task=2 --output=/dev/null urgent.sh
wait_until 60 "preempted tasks" ended 75 4
ls work/runs/*/*/checkpoints/* > /dev/null 2>&1 || fail "no checkpoint of a preempted run"
expect 0 "$loglog" store merge early.db work/spool/*.jsonl
over() { [[ -z $(squeue --noheader --partition=high) ]]; }
wait_until 60 "the end of the urgent job" over
start_waiting > log 2>&1
done_all() { [[ -z $(tasks) ]]; }
wait_until 120 "the end of the array" done_all
ended 0 2 || fail "the tasks did not end with 0"
grep -q "stopped with work left" work/logs/* || fail "no task was stopped"

expect 0 "$loglog" store merge merged.db work/spool/*.jsonl
expect 0 "$loglog" store merge merged.db work/spool/*.jsonl
grep -q ": 0 results added" log || fail "a second merge added something"
expect 0 "$loglog" store verify merged.db
expect 0 "$loglog" sweep export merged.db --format jsonl --no-timing -o merged.jsonl
cmp calm.jsonl merged.jsonl || fail "the results differ from those of a local sweep"
[[ -z $(ls work/runs) ]] || fail "folders of finished runs are left"

expect 0 "$loglog" sweep submit tiny.toml --slurm --folder work
grep -q "nothing is left" log || fail "a finished sweep was submitted"
echo "$(wc -l < merged.jsonl) runs, $(cat work/spool/*.jsonl | wc -l) results in $(find work/spool -name '*.jsonl' | wc -l) spools; ${SECONDS} s"

#!/bin/bash
# Faults around a sweep of real processes: clocks that jump (F10), places that cannot be written and names that are odd (F11),
# a worker that is stopped and wakes (F13), readers that leave (F15). Each table must be that of an undisturbed sweep.
#   faults_test.sh LOGLOG_BINARY
set -u
loglog=$1
folder=$(mktemp -d)
launcher=
cleanup() {
  [[ -z $launcher ]] || kill -9 "$launcher" 2> /dev/null
  rm -rf "$folder"
}
trap cleanup EXIT
cd "$folder" || exit 1
fail() { echo "FAILED: $*"; cat log; exit 1; }
expect() { # expect CODE COMMAND...
  local wanted=$1
  shift
  "$@" > log 2>&1
  local code=$?
  ((code == wanted)) || fail "exit $code instead of $wanted: $*"
}
table() { "$loglog" sweep export "$1" --no-timing; }

expect 0 "$loglog" data synth --world markov -o tiny.tok --tokens 200000
sweep_file() { # sweep_file FILE TOKENS: two seeds of two sizes
  cat > "$1" << TOML
name = "tiny"
kind = "grid"
tokens = [$2]
seeds = [1, 2]
size = [{name = "a", layers = 1, width = 16, heads = 2}, {name = "b", layers = 1, width = 32, heads = 2}]
[model]
context = 32
[data]
path = "$folder/tiny.tok"
[train]
batch = 4
[eval]
tokens = 4096
TOML
}
sweep_file tiny.toml 400000
expect 0 "$loglog" sweep run tiny.toml --store calm.db --quiet
table calm.db > calm.csv

echo "F10: clocks that jump by a day, time zones"
fake=$(find /usr/lib -name libfaketimeMT.so.1 2> /dev/null | head -n 1)
if [[ -z $fake ]]; then
  echo "SKIPPED: F10 needs the package faketime"
else
  echo "+0" > clock
  (while [[ -e clock ]]; do for day in +1d -1d; do echo "$day" > next && mv next clock; sleep 0.1; done; done) 2> /dev/null &
  jumps=$!
  LD_PRELOAD=$fake DONT_FAKE_MONOTONIC=1 FAKETIME_NO_CACHE=1 FAKETIME_TIMESTAMP_FILE=$folder/clock TZ=Pacific/Kiritimati \
    expect 0 "$loglog" sweep run tiny.toml --store jumps.db --beat 0.1 --quiet
  LD_PRELOAD=$fake DONT_FAKE_MONOTONIC=1 FAKETIME_NO_CACHE=1 FAKETIME_TIMESTAMP_FILE=$folder/clock date > seen1
  sleep 0.15
  LD_PRELOAD=$fake DONT_FAKE_MONOTONIC=1 FAKETIME_NO_CACHE=1 FAKETIME_TIMESTAMP_FILE=$folder/clock date > seen2
  rm clock
  wait $jumps
  ! cmp -s seen1 seen2 || fail "the clock did not jump"
  table jumps.db | cmp - calm.csv || fail "a clock that jumps changes the table"
  python3 - << 'PYTHON' || fail "a lease was stolen, or a duration is negative"
import sqlite3
db = sqlite3.connect("jumps.db")
assert db.execute("SELECT count(*) FROM run WHERE crashes > 0").fetchone() == (0,)
assert db.execute("SELECT count(*) FROM result WHERE seconds < 0 OR seconds > 3600").fetchone() == (0,)
PYTHON
fi

echo "F11: odd names; places that cannot be written"
long=$(printf 'n%.0s' {1..220})
for name in "with space.db" $'new\nline.db' "größe ☃.db" "$long.db" "'quotes\"\$HOME.db"; do
  expect 0 "$loglog" sweep run tiny.toml --store "$name" --quiet
  table "$name" | cmp - calm.csv || fail "the table of a store with an odd name"
done
unprivileged() { # as somebody who owns nothing here
  if ((EUID == 0)); then setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; else "$@"; fi
}
refused() { # refused STORE COMMAND...: exit 6 before anything is timed or trained, and the place is named
  local store=$1
  shift
  expect 6 "$@"
  grep -q -F "$store" log || fail "the place is not named: $store"
  ! grep -q -E "timing|done" log || fail "time was spent before a store in $store was refused"
}
mkdir locked mount && chmod 555 locked
chmod 755 "$folder"
cp "$loglog" program && chmod 755 program
cp calm.db protected.db && chmod 444 protected.db
for store in locked/s.db none/s.db; do
  refused "$store" unprivileged ./program sweep run tiny.toml --store "$store"
done
refused protected.db unprivileged ./program sweep run tiny.toml --store protected.db
refused protected.db unprivileged ./program sweep resume protected.db
for name in "$long$long.db" "$long$(printf 'n%.0s' {1..29}).db"; do # too long; no room for the journal's name
  expect 2 "$loglog" sweep run tiny.toml --store "$name"
done
expect 4 "$loglog" sweep resume none/s.db
# shellcheck disable=SC2016
if unshare --mount true 2> /dev/null; then
  refused mount/s.db unshare --mount sh -c \
    'mount -t tmpfs -o ro,size=1m tmpfs mount && exec ./program sweep run tiny.toml --store mount/s.db'
else
  echo "SKIPPED: a read-only mount needs privileges that this process lacks"
fi

echo "F13: a worker that is stopped, and wakes"
sweep_file slow.toml 2500000
expect 0 "$loglog" sweep run slow.toml --store slow-calm.db --quiet
"$loglog" sweep run slow.toml --store slow.db --beat 0.1 --processors 2 --quiet > log 2>&1 &
launcher=$!
worker=
for _ in {1..100}; do
  worker=$(pgrep -P "$launcher" -f "sweep worker" | head -n 1)
  [[ -n $worker ]] && "$loglog" sweep status slow.db --json 2> /dev/null | grep -q '"running"' && break
  sleep 0.1
done
[[ -n $worker ]] || fail "no worker to stop"
sleep 0.3
kill -STOP "$worker"
crashes() { python3 -c 'import sqlite3; print(sqlite3.connect("slow.db").execute("SELECT sum(crashes) FROM run").fetchone()[0])'; }
for _ in {1..50}; do
  [[ $(crashes) == 1 ]] && break
  sleep 0.1
done
[[ $(crashes) == 1 ]] || fail "the lease of a stopped worker was not taken over"
kill -CONT "$worker"
wait "$launcher" || fail "the sweep did not end"
launcher=
"$loglog" store verify slow.db > log || fail "the store is damaged"
cmp <(table slow.db) <(table slow-calm.db) || fail "a sleeper changed the table"

echo "F15: readers that leave, a full disk behind standard output"
for command in "sweep status calm.db" "sweep export calm.db --format jsonl" "sweep plan tiny.toml --json" \
  "sweep commands tiny.toml"; do
  # shellcheck disable=SC2086
  "$loglog" $command 2> log | head -n 1 > /dev/null
  code=${PIPESTATUS[0]}
  ((code == 0 || code == 141)) || fail "exit $code when the reader leaves: $command"
  # shellcheck disable=SC2086
  "$loglog" $command > /dev/full 2> log
  code=$?
  ((code == 1)) || fail "exit $code instead of 1 on a full disk: $command"
  grep -q "No space left" log || fail "the full disk is not named: $command"
done
echo ok

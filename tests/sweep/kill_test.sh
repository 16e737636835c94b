#!/bin/bash
# Kills workers, the launcher or all of them at random moments of small real sweeps, resumes, and compares each
# table with that of an undisturbed run: byte for byte.
#   kill_test.sh LOGLOG_BINARY [KILLS] [SEED]
set -u
loglog=$1
kills=${2:-20}
RANDOM=${3:-1}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

"$loglog" data synth --world markov -o "$folder/tiny.tok" --tokens 200000 > "$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
cat > "$folder/tiny.toml" << TOML
name = "tiny"
kind = "grid"
tokens = [40000, 160000]
seeds = [1, 2, 3, 4, 5, 6]
size = [{name = "a", layers = 1, width = 16, heads = 2}, {name = "b", layers = 1, width = 32, heads = 2}]
[model]
context = 32
[data]
path = "$folder/tiny.tok"
[train]
batch = 4
checkpoint_every = 40
[eval]
tokens = 4096
TOML

"$loglog" sweep run "$folder/tiny.toml" --store "$folder/calm.db" --quiet > "$folder/log" 2>&1 || { cat "$folder/log"; fail "the undisturbed sweep"; }
"$loglog" sweep export "$folder/calm.db" --no-timing > "$folder/calm.csv" || fail "export"

check() { # the table of the sweep that just ended must be that of the calm one
  "$loglog" sweep resume "$store" --retry failed --quiet > "$folder/log" 2>&1 || { cat "$folder/log"; fail "resume"; }
  "$loglog" store verify "$store" > /dev/null || fail "the store is damaged at the end"
  "$loglog" sweep export "$store" --no-timing > "$folder/killed.csv" || fail "export"
  cmp "$folder/calm.csv" "$folder/killed.csv" || fail "the tables differ after $disturbed kills"
}

# A sweep that ends before it got all its kills is checked, and the next begins: a fast machine needs more sweeps.
store=$folder/killed.db
disturbed=0
sweeps=1
launcher=
while ((disturbed < kills)); do
  if [[ -z $launcher ]]; then
    "$loglog" sweep run "$folder/tiny.toml" --store "$store" --beat 0.2 --quiet > "$folder/log" 2>&1 &
    launcher=$!
  fi
  sleep "0.$((RANDOM % 3))$((RANDOM % 10))"
  mapfile -t workers < <(pgrep -P "$launcher")
  case $((RANDOM % 3)) in
    0) ((${#workers[@]} > 0)) && kill -9 "${workers[RANDOM % ${#workers[@]}]}" 2> /dev/null && ((++disturbed)) ;;
    1) kill -9 "$launcher" 2> /dev/null && ((++disturbed)) ;;
    2) kill -9 "$launcher" "${workers[@]}" 2> /dev/null && ((++disturbed)) ;;
  esac
  if ! kill -0 "$launcher" 2> /dev/null || [[ $(ps -o stat= -p "$launcher") == Z* ]]; then
    wait "$launcher" 2> /dev/null
    code=$?
    launcher=
    if [[ -f $store ]]; then
      "$loglog" store verify "$store" > /dev/null || fail "the store is damaged after $disturbed kills"
    fi
    if ((code == 0)); then
      check
      store=$folder/killed-$((++sweeps)).db
    fi
  fi
done
[[ -z $launcher ]] || wait "$launcher" 2> /dev/null
[[ -f $store ]] && check
echo "$disturbed kills in $sweeps sweeps of $(($(wc -l < "$folder/calm.csv") - 1)) runs, tables equal"

#!/bin/bash
# Trains configs/models/char-shakespeare.toml with three seeds, one after the other, and prints what came out.
#   TEXT=tinyshakespeare.txt train.sh [--set key=value ...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
text=${TEXT:-../shared/data/text/tinyshakespeare.txt}
out=build/results/char-shakespeare$(printf '%s' "$@")
[[ -f $text ]] || { echo "train.sh: no text at '$text': set TEXT=tinyshakespeare.txt" >&2; exit 2; }
rm -rf "$out"
mkdir -p "$out"
loglog data import "$text" --tokenizer chars -o "$out/shakespeare.tok" >&2
printf '%-6s %-16s %-14s %-10s %-10s %s\n' seed 'validation loss' 'bits per byte' seconds tokens/s 'row, threads'
for seed in 1 2 3; do
  loglog train --config configs/models/char-shakespeare.toml --set data.path="$out/shakespeare.tok" \
    --set train.seed=$seed "$@" --out "$out/$seed" >&2
  python3 - "$out/$seed/record.jsonl" "$seed" << 'PYTHON'
import json, sys
end = json.loads(open(sys.argv[1]).read().splitlines()[-1])
assert end["event"] == "end" and end["status"] == "done"
print(f'{sys.argv[2]:6} {end["val_loss"]:<16.4f} {end["bits_per_byte"]:<14.4f} {end["seconds"]:<10.1f} '
      f'{end["tokens_per_s"]:<10.0f} {end["isa"]}, {end["threads"]}')
PYTHON
done
python3 - "$out" << 'PYTHON'
import json, sys
ends = [json.loads(open(f"{sys.argv[1]}/{seed}/record.jsonl").read().splitlines()[-1]) for seed in (1, 2, 3)]
print(f'mean   {sum(e["val_loss"] for e in ends) / 3:<16.4f} {"":14} {sum(e["seconds"] for e in ends) / 3:<10.1f}')
PYTHON

#!/usr/bin/env python3
"""Our LLM.int8() products against one written down from the paper alone, and against bitsandbytes where that is installed.

    python3 tests/reference/int8_peer.py LOGLOG MODEL [--data F.tok] [--tokens N]    a model folder whose MLP is `relu`, in float32
    python3 tests/reference/int8_peer.py LOGLOG MODEL --write vectors.npz            x, w, bias and ours of block 0, for other tools
    python3 tests/reference/int8_peer.py --check LOGLOG                              on a model that it trains and plants outliers in

Of the model quantised by a scheme `outliers --dump up` gives X (tokens, K), and --dump down what the layer made of it, relu(X W + bias), in
the same pass; W (K, N) is in the model's own file. The paper: Dettmers, Lewis, Belkada, Zettlemoyer 2022, sections 2 and 3.2. Needs numpy (Debian:
python3-numpy); --check exits with 77 without it. bitsandbytes (PyPI; with torch) multiplies float16 and is compared as such. It differs from
the paper in one thing, seen here: a row's scale is the largest of all its elements below the threshold, those in columns of outliers included,
which int8 does not take. So its products are held to that, and then by how far they are from ours is told.
"""
import argparse
import json
import struct
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

try:
    import numpy as np
except ImportError as missing:
    print(f"SKIPPED: {missing}")
    sys.exit(77)

THRESHOLD = 6.0
NEAR_A_TIE = 2.0**-13  # how near to k + 1/2 two ways of rounding x / scale may part
UNIT = 2.0**-24        # of float32
UNIT_OF_FLOAT16 = 2.0**-11


def read_safetensors(path):
    raw = Path(path).read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + size])
    header.pop("__metadata__", None)
    assert all(t["dtype"] == "F32" for t in header.values()), f"{path}: float32 alone is read"
    return {name: np.frombuffer(raw, "<f4", (t["data_offsets"][1] - t["data_offsets"][0]) // 4, 8 + size + t["data_offsets"][0])
            .reshape(t["shape"]).astype(np.float64) for name, t in header.items()}


def quantised(x, axis, scaled_by=None):
    """Integers -127..127 and their scale along the axis; beside them where x / scale is so near to k + 1/2 that k or k + 1 is right."""
    scale = np.abs(x if scaled_by is None else scaled_by).max(axis=axis, keepdims=True) / 127
    steps = np.divide(x, scale, out=np.zeros_like(x), where=scale > 0)
    return np.rint(steps), scale, np.abs(np.abs(steps - np.trunc(steps)) - 0.5) < NEAR_A_TIE


def product(x, w, whole_columns, threshold=THRESHOLD, unit=UNIT, as_bitsandbytes=False):
    """X W by LLM.int8() in exact arithmetic, and by how much floats of `unit` and ties of rounding may move each element.

    As published an outlier takes its whole column of X out of int8; element by element otherwise.
    """
    is_large = np.abs(x) >= threshold
    outlier = np.broadcast_to(is_large.any(axis=0), x.shape) if whole_columns else is_large
    qw, w_scale, w_ties = quantised(w, 0)
    qx, x_scale, x_ties = quantised(np.where(outlier, 0, x), 1, np.where(is_large, 0, x) if as_bitsandbytes else None)
    kept = np.where(outlier, x, 0)
    exact = (qx @ qw) * x_scale * w_scale + kept @ (qw * w_scale)
    size = np.abs(qx @ qw) * x_scale * w_scale + np.abs(kept) @ (np.abs(qw) * w_scale)
    terms = 8 + outlier.sum(axis=1, keepdims=True)
    ties = (x_ties @ np.abs(qw)) * x_scale * w_scale + np.abs(x) @ w_ties * w_scale
    return exact, terms * unit * size + ties


def run(*command):
    done = subprocess.run([str(x) for x in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{command} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def dumped(program, model, scheme, site, options, folder):
    path = folder / f"{scheme}-{site}.safetensors"
    quantised = folder / scheme
    if not quantised.exists():
        run(program, "quantize", model, "--scheme", scheme, "-o", quantised)
    run(program, "outliers", quantised, "--batch", "1", "--dump", site, "-o", path, *options)
    return read_safetensors(path)


def context_of(model):
    return tomllib.loads((Path(model) / "config.toml").read_text())["model"]["context"]


def difference_in_bounds(x, w, bias, ours, rows, whole_columns, threshold=THRESHOLD):
    """The largest |ours - theirs| as a share of what it may be; `rows` of X are one call."""
    worst = 0.0
    for first in range(0, len(x), rows):
        wanted, bound = product(x[first:first + rows], w, whole_columns, threshold)
        wanted = wanted + bias
        bound = bound + 2 * UNIT * (np.abs(wanted) + np.abs(bias))
        worst = max(worst, (np.abs(np.maximum(wanted, 0) - ours[first:first + rows]) / bound).max())
    return worst


def bitsandbytes_product(x, w):
    """X W by bitsandbytes, or nothing where it is not installed."""
    try:
        import torch
        from bitsandbytes.nn import Linear8bitLt
    except ImportError as missing:
        print(f"NOT RUN: bitsandbytes: {missing}")
        return None
    layer = Linear8bitLt(*w.shape, bias=False, has_fp16_weights=False, threshold=THRESHOLD)
    layer.load_state_dict({"weight": torch.tensor(w.T.copy(), dtype=torch.float16)})
    with torch.no_grad():
        return layer.to("cpu").eval()(torch.tensor(x, dtype=torch.float16)).double().numpy()


def compare_with_bitsandbytes(x, w, bias, ours):
    """Its product of X and W in float16 against ours of them, but for its scales; then theirs of float32 against ours as they are."""
    theirs = bitsandbytes_product(x, w)
    if theirs is None:
        return
    x16, w16 = (y.astype(np.float16).astype(np.float64) for y in (x, w))
    wanted, bound = product(x16, w16, True, unit=UNIT_OF_FLOAT16, as_bitsandbytes=True)
    share = (np.abs(theirs - wanted) / bound).max()
    by_paper = (np.abs(theirs - product(x16, w16, True, unit=UNIT_OF_FLOAT16)[0]) / bound).max()
    theirs, in_float = np.maximum(theirs + bias, 0), np.maximum(x @ w + bias, 0)
    apart, error = (np.sqrt(np.mean((y - ours)**2)) for y in (theirs, in_float))
    print(f"bitsandbytes: largest difference {share:.2f} of the bound of float16 (with the paper's scales {by_paper:.2f}); {apart:.2e} from ours "
          f"(RMS), int8 {error:.2e} from float32")
    if not share <= 1:
        sys.exit("bitsandbytes multiplies another way than this comparison thinks")
    if not apart < error / 2:
        sys.exit("bitsandbytes and ours differ by more than float16 and its scales explain")


def compare(program, model, options, folder, vectors=None):
    """Every block's first product of the MLP, by both schemes. The number of elements that were outliers."""
    weights, context, outliers = read_safetensors(Path(model) / "model.safetensors"), context_of(model), 0
    for scheme in ("llm-int8", "llm-int8-paper"):
        inputs, results = (dumped(program, model, scheme, site, options, folder) for site in ("up", "down"))
        for block in range(len(inputs)):
            x, ours = inputs[f"blocks.{block}.up"], results[f"blocks.{block}.down"]
            w = weights[f"blocks.{block}.mlp.up.weight"]
            bias = weights.get(f"blocks.{block}.mlp.up.bias", np.zeros(w.shape[1]))
            paper = scheme.endswith("paper")
            share = difference_in_bounds(x, w, bias, ours, context, paper)
            found = int((np.abs(x) >= THRESHOLD).sum())
            print(f"{scheme:16} block {block}: {x.shape[0]} x {x.shape[1]} x {w.shape[1]}, {found} outliers, largest difference {share:.2f} of "
                  "its bound")
            if not share <= 1:
                sys.exit(f"{scheme}, block {block}: ours is not LLM.int8()")
            if found > 0 and not difference_in_bounds(x, w, bias, ours, context, paper, np.inf) > 1:
                sys.exit("the bound does not tell LLM.int8() from plain int8: this comparison says nothing")
            if paper and block == 0:
                compare_with_bitsandbytes(x[:context], w, bias, ours[:context])
                if vectors:
                    np.savez(vectors, x=x[:context], w=w, bias=bias, ours=ours[:context])
            outliers += found
    return outliers


def check(program):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "t.txt").write_text("".join(f"the cat {i % 7} sat on the mat.\n" for i in range(2500)))
        run(program, "data", "import", folder / "t.txt", "-o", folder / "t.tok")
        (folder / "c.toml").write_text('[model]\nlayers = 2\nwidth = 48\nheads = 4\ncontext = 32\nmlp = "relu"\n'
                                       "[train]\nbatch = 8\nsteps = 60\nlr = 1e-2\n")
        run(program, "train", "--config", folder / "c.toml", "--out", folder / "run", "--set", f"data.path={folder / 't.tok'}", "--threads", "1")
        run(program, "plant", folder / "run", "--dims", "3", "--scale", "16", "-o", folder / "planted")
        options = ("--data", folder / "t.tok", "--tokens", "512", "--threads", "1")
        if compare(program, folder / "planted", options, folder) == 0:
            sys.exit("no outlier was planted: this comparison says nothing of decomposition")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="on a model of its own")
    parser.add_argument("program", help="loglog")
    parser.add_argument("model", nargs="?", help="folder with model.safetensors and config.toml")
    parser.add_argument("--data", help="token file; default: that of the run")
    parser.add_argument("--tokens", default="2048", help="of it")
    parser.add_argument("--write", help="file for the vectors of block 0")
    a = parser.parse_args()
    if a.check:
        return check(a.program)
    if a.model is None:
        parser.error("MODEL is missing, or --check")
    with tempfile.TemporaryDirectory() as folder:
        options = (*(("--data", a.data) if a.data else ()), "--tokens", a.tokens)
        compare(a.program, a.model, options, Path(folder), a.write)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Times LLM.int8() beside float32 on a model of OPT-1.3B's shape with random weights: prompt, decode, memory.

    bench/inference_speed.py [--isa NAME ...] [--folder F] [--rounds N] [--json FILE]
    bench/inference_speed.py --from FILE

The model is written as a folder of Hugging Face in bfloat16 (2.6 GB; kept with --folder). Six channels of every norm's output are
outliers, as in the models of the paper; nothing was calibrated. Rates are those of bench_inference, both forms in turn in one process: a
prompt of 512 tokens, and 24 tokens one by one from the beginning of a sequence, beside the rate at which memory is read just before
and behind them. Embedding and head, the same matrix here, are bfloat16 in the model of int8. Memory is the most that `loglog
generate` ever had resident, reading the model included. Needs 8 GiB of memory and about 3 minutes per ISA on two cores.
"""
import argparse
import array
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
LOGLOG = str(ROOT / "build/release/bin/loglog")
BENCH = str(ROOT / "build/release/bin/bench_inference")
LAYERS, WIDTH, HIDDEN, HEADS, VOCAB, CONTEXT = 24, 2048, 8192, 32, 50272, 2048
OUTLIERS, GAIN = 6, 20.0

# (ISA of the product, at least: prompt of int8 over float32)
PROMPT_TARGETS = {"amx": 5.0, "avx512_vnni": 2.2, "avx512_bf16": 2.2, "avx2": 1.2, "avx_vnni": 1.2}


def bf16_bytes(values):
    """Cut off, not rounded: these are random."""
    words = array.array("H", struct.pack(f"<{len(values)}f", *values))
    return words[1::2].tobytes()


def shapes():
    """Name and shape of every tensor."""
    prefix = "model.decoder."
    yield prefix + "embed_tokens.weight", [VOCAB, WIDTH]
    yield prefix + "embed_positions.weight", [CONTEXT + 2, WIDTH]

    def norm(name):
        yield name + ".weight", [WIDTH]
        yield name + ".bias", [WIDTH]

    def linear(name, rows, cols):
        yield name + ".weight", [cols, rows]
        yield name + ".bias", [cols]

    for i in range(LAYERS):
        layer = f"{prefix}layers.{i}."
        yield from norm(layer + "self_attn_layer_norm")
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from linear(layer + "self_attn." + part, WIDTH, WIDTH)
        yield from norm(layer + "final_layer_norm")
        yield from linear(layer + "fc1", WIDTH, HIDDEN)
        yield from linear(layer + "fc2", HIDDEN, WIDTH)
    yield from norm(prefix + "final_layer_norm")


def write_model(folder):
    config = {"model_type": "opt", "architectures": ["OPTForCausalLM"], "vocab_size": VOCAB, "hidden_size": WIDTH,
              "ffn_dim": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
              "max_position_embeddings": CONTEXT, "word_embed_proj_dim": WIDTH, "activation_function": "relu",
              "do_layer_norm_before": True, "tie_word_embeddings": True, "torch_dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(config))
    draw = random.Random(1)
    block = bf16_bytes([draw.gauss(0, 0.02) for _ in range(1 << 20)])
    gains = [GAIN if i % (WIDTH // OUTLIERS) == 7 else 1.0 for i in range(WIDTH)]
    gain = bf16_bytes(gains)
    header, end = {"__metadata__": {"format": "pt"}}, 0
    tensors = list(shapes())
    for name, shape in tensors:
        size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name, shape in tensors:
            if len(shape) == 1:
                out.write(gain if name.endswith("norm.weight") else bytes(2 * shape[0]))
                continue
            left = 2 * shape[0] * shape[1]
            while left > 0:  # from anywhere in the block, so that rows differ
                part = block[2 * draw.randrange(1 << 19):][:left]
                out.write(part)
                left -= len(part)


def run(command):
    """Standard output and the most memory (bytes) of a process."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    text, errors = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"inference_speed: exit {os.waitstatus_to_exitcode(status)}: {' '.join(command)}\n{errors}")
    return text, usage.ru_maxrss * 1024


def make(folder):
    """What is missing of the models; the memory that quantising took."""
    model, int8 = folder / "opt-1.3b-random", folder / "opt-1.3b-int8"
    if not model.exists():
        model.mkdir(parents=True)
        write_model(model)
    memory = None
    if not int8.exists():
        _, memory = run([LOGLOG, "quantize", str(model), "--scheme", "llm-int8", "--table", "bf16", "-o", str(int8)])
    return model, int8, memory


def median(values):
    return sorted(values)[len(values) // 2]


def rates(isa, model, rounds):
    """Medians of the rounds; ratios and shares are medians of those of each round."""
    result = json.loads(run([BENCH, str(model), "--rounds", str(rounds), *(["--isa", isa] if isa else [])])[0])
    float32, int8 = result["f32"], result["quantized"]
    row = {key: result[key] for key in ("isa", "threads", "commit", "decoded")}
    row["prompt_tokens"] = result["prompt"]
    row["cpu"] = next((line.split(": ")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    for kind in ("prompt", "decode"):
        key = kind + "_tokens_per_s"
        row[kind] = {"f32": median(float32[key]), "int8": median(int8[key]),
                     "ratio": median([b / a for a, b in zip(float32[key], int8[key])])}
    for name, line in (("f32", float32), ("int8", int8)):
        row["weight_bytes_" + name] = line["weight_bytes"]
        row["share_of_bandwidth_" + name] = median([d * line["weight_bytes"] / b for d, b in zip(
            line["decode_tokens_per_s"], line["read_bytes_per_s"])])
    row["read_bytes_per_s"] = median(float32["read_bytes_per_s"] + int8["read_bytes_per_s"])
    return row


def peak_of_generate(model, isa):
    command = [LOGLOG, *(["--isa", isa] if isa else []), "generate", str(model), "--tokens", "1,2,3", "--max-tokens", "4"]
    return run(command)[1]


def measure(isas, folder, rounds):
    model, int8, quantising = make(folder)
    results = {"model": "OPT-1.3B's shape, random weights", "quantize_peak_bytes": quantising}
    results["generate_peak_bytes"] = {"f32": peak_of_generate(model, isas[0]), "int8": peak_of_generate(int8, isas[0])}
    results["rows"] = [rates(isa, model, rounds) for isa in isas]
    return results


def print_table(results):
    print("| | required | got | |\n|---|---|---|---|")

    def line(name, got, least=None, most=None):
        passed = (least is None or got >= least) and (most is None or got <= most)
        wanted = f"at least {least}" if least is not None else f"at most {most}" if most is not None else ""
        verdict = "" if not wanted else "pass" if passed else "fail"
        print(f"| {name} | {wanted} | {got:.2f} | {verdict} |")

    for row in results["rows"]:
        isa, prompt, decode = row["isa"], row["prompt"], row["decode"]
        rate = row["read_bytes_per_s"] / 1e9
        line(f"{isa}: prompt of {row['prompt_tokens']}, {prompt['int8']:.0f} tokens/s over float32's {prompt['f32']:.0f}",
             prompt["ratio"], PROMPT_TARGETS.get(isa))
        line(f"{isa}: decode, {decode['int8']:.1f} tokens/s over float32's {decode['f32']:.1f}", decode["ratio"], 3.2)
        line(f"{isa}: bytes of weights per second of int8's decode over the rate of reads ({rate:.0f} GB/s)",
             row["share_of_bandwidth_int8"], 0.85)
        line(f"{isa}: the same of float32's", row["share_of_bandwidth_f32"])
    peak, row = results["generate_peak_bytes"], results["rows"][0]
    line(f"most memory of generate, int8's {peak['int8'] / 2**30:.2f} GiB over float32's {peak['f32'] / 2**30:.2f} GiB",
         peak["int8"] / peak["f32"], most=0.33)
    layer = 4 * WIDTH * WIDTH + 2 * WIDTH * HIDDEN
    for name, size in (("f32", 4), ("int8", 1)):
        line(f"the same of {name} over its weights and one layer", peak[name] / (row["weight_bytes_" + name] + size * layer), most=1.0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--isa", nargs="*", default=[None], help="rows of `loglog doctor`; default: the one that it chooses")
    parser.add_argument("--folder", type=pathlib.Path, help="where the model is and stays; default: one that is removed")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=pathlib.Path, help="file for the results")
    parser.add_argument("--from", dest="source", type=pathlib.Path, help="measure nothing: the table of such a file")
    arguments = parser.parse_args()
    if arguments.source:
        results = json.loads(arguments.source.read_text())
    elif arguments.folder:
        results = measure(arguments.isa, arguments.folder, arguments.rounds)
    else:
        with tempfile.TemporaryDirectory() as folder:
            results = measure(arguments.isa, pathlib.Path(folder), arguments.rounds)
    print_table(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Small random models of every architecture that `loglog import` reads, made and computed by Hugging Face's `transformers` in float64.

    python3 tests/reference/hf_models.py                     writes tests/reference/hf/NAME/
    python3 tests/reference/hf_models.py --check LOGLOG      takes them through `LOGLOG import` and `export`, and compares there

NAME/ holds config.json and model.safetensors as the library writes them, and expected.safetensors: the logits of B sequences of T
tokens; for NAMES_WITH_GRADIENTS also the losses, the gradient of their mean for every tensor under the names of the model, and ten losses
of training with torch.optim.AdamW. tests/formats/test_reference.cpp compares ours with these.

Debian's python3-torch 1.13, and transformers 4.40.2 from PyPI. --check exits with 77 where they are missing; it compares GGUF files
where the package `gguf` is installed.
"""
import copy
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import torch
    import transformers as hf
    from safetensors.torch import load_file, save_file
except ImportError as missing:
    print(f"SKIPPED: {missing}")
    sys.exit(77)

ROOT = Path(__file__).parent / "hf"
B, T, V, SD = 2, 9, 29, 0.3
LR, STEPS = 1e-2, 10
NAMES_WITH_GRADIENTS = ("gpt2", "llama")
NEOX = dict(vocab_size=V, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
            max_position_embeddings=12, rotary_pct=0.5, rotary_emb_base=500, layer_norm_eps=3e-3,
            attention_dropout=0.0, hidden_dropout=0.0)
LLAMA = dict(vocab_size=V, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
             intermediate_size=24, max_position_embeddings=12, rms_norm_eps=3e-3, rope_theta=500.0)
OPT = dict(vocab_size=V, hidden_size=16, word_embed_proj_dim=16, num_hidden_layers=2, num_attention_heads=2, ffn_dim=24,
           max_position_embeddings=12, dropout=0.0)
GPT2 = dict(vocab_size=V, n_embd=16, n_layer=2, n_head=2, n_positions=12, layer_norm_epsilon=3e-3,
            attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0)

MODELS = {  # NAME: configuration. Large epsilons, so that a wrong one shows
    "gpt2": hf.GPT2Config(**GPT2),
    "gpt2_erf": hf.GPT2Config(**GPT2, n_inner=24, activation_function="gelu", tie_word_embeddings=False),
    "gpt_neox": hf.GPTNeoXConfig(**NEOX),
    "gpt_neox_serial": hf.GPTNeoXConfig(**NEOX, use_parallel_residual=False, hidden_act="gelu_new"),
    "opt": hf.OPTConfig(**OPT),
    "llama": hf.LlamaConfig(**LLAMA),
    "mistral": hf.MistralConfig(**LLAMA, sliding_window=None),
    "qwen2": hf.Qwen2Config(**LLAMA, tie_word_embeddings=True),
}
SHARDED = {"gpt_neox": "12KB"}


def tokens(offset):
    r = torch.arange(B * T)
    return ((r * r + 3 * r + offset) % V).reshape(B, T)


def make(name):
    """Every weight is random: norms and biases near what they begin with would hide mistakes."""
    model = hf.AutoModelForCausalLM.from_config(MODELS[name], attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(sorted(MODELS).index(name))
    with torch.no_grad():
        for key, p in model.named_parameters():
            middle = 1.0 if "norm" in key and key.endswith("weight") or ".ln_" in key and key.endswith("weight") else 0.0
            p.copy_((middle + SD * torch.randn(p.shape, generator=generator)).float())
    return model


def losses(model):
    logits = model(tokens(0)).logits
    return torch.nn.functional.cross_entropy(logits.reshape(-1, V), tokens(5).reshape(-1), reduction="none")


def expected(name, model):
    with torch.no_grad():
        found = {"logits": model(tokens(0)).logits.reshape(B * T, V)}
    if name in NAMES_WITH_GRADIENTS:
        first = losses(model)
        first.mean().backward()
        found["losses"] = first.detach()
        for key, p in model.named_parameters():
            found["gradient." + key] = p.grad.clone()
        matrices = [p for p in model.parameters() if p.dim() > 1]
        vectors = [p for p in model.parameters() if p.dim() == 1]
        adamw = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
                                  lr=LR, betas=(0.9, 0.95), eps=1e-8)
        history = []
        for _ in range(STEPS):
            adamw.zero_grad()
            loss = losses(model).mean()
            history.append(loss.item())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            adamw.step()
        found["training"] = torch.tensor(history)
    return {key: x.detach().float().contiguous() for key, x in found.items()}


def write():
    shutil.rmtree(ROOT, ignore_errors=True)
    for name in MODELS:
        model = make(name)
        copy.deepcopy(model).float().save_pretrained(ROOT / name, safe_serialization=True, max_shard_size=SHARDED.get(name, "1GB"))
        (ROOT / name / "generation_config.json").unlink(missing_ok=True)
        save_file(expected(name, model), ROOT / name / "expected.safetensors")


def run(*command):
    done = subprocess.run([str(x) for x in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{command} ended with {done.returncode}: {done.stderr}")


def require(name, what, largest, bound):
    print(f"{name:16} {what:24} largest difference {largest:.2e}, at most {bound:.0e}")
    if not largest <= bound:
        sys.exit(f"{name}: {what} differ")


def check_hugging_face(program, name, model, folder):
    wanted = load_file(ROOT / name / "expected.safetensors")["logits"]
    for options in ((), ("--shard-bytes", "9000")):
        out = folder / f"{name}-hf{len(options)}"
        run(program, "export", model, "-o", out, "--format", "hf", *options)
        back, problems = hf.AutoModelForCausalLM.from_pretrained(out, attn_implementation="eager", output_loading_info=True)
        if problems["missing_keys"] or problems["unexpected_keys"] or problems["mismatched_keys"]:
            sys.exit(f"{name}: {problems}")
        with torch.no_grad():
            found = back.eval().double()(tokens(0)).logits.reshape(B * T, V)
        require(name, "logits, sharded" if options else "logits", (found - wanted).abs().max() / wanted.abs().max(), 1e-6)


def read_llmc(path):
    """The tensors of a float32 checkpoint in the order in which llm.c's train_gpt2.py writes them."""
    raw = path.read_bytes()
    magic, version, context, vocab, layers, _, width, padded = struct.unpack("<8i", raw[:32])
    assert (magic, version) == (20240326, 3) and padded % 128 == 0 and padded >= vocab
    values, at = torch.frombuffer(bytearray(raw[1024:]), dtype=torch.float32), 0
    c, found = width, {}
    for key, shape in (("wte", (padded, c)), ("wpe", (context, c)), ("ln_1.weight", (layers, c)), ("ln_1.bias", (layers, c)),
                       ("attn.c_attn.weight", (layers, 3 * c, c)), ("attn.c_attn.bias", (layers, 3 * c)),
                       ("attn.c_proj.weight", (layers, c, c)), ("attn.c_proj.bias", (layers, c)),
                       ("ln_2.weight", (layers, c)), ("ln_2.bias", (layers, c)),
                       ("mlp.c_fc.weight", (layers, 4 * c, c)), ("mlp.c_fc.bias", (layers, 4 * c)),
                       ("mlp.c_proj.weight", (layers, c, 4 * c)), ("mlp.c_proj.bias", (layers, c)),
                       ("ln_f.weight", (c,)), ("ln_f.bias", (c,))):
        size = torch.Size(shape).numel()
        found[key] = values[at:at + size].reshape(shape)
        at += size
    assert at == values.numel(), (at, values.numel())
    return found, vocab


def check_llmc(program, model, folder):
    """Its own epsilon is 1e-5, so the model is made anew with that; the weights are what is compared."""
    source = folder / "gpt2-epsilon"
    shutil.copytree(ROOT / "gpt2", source)
    text = (source / "config.json").read_text().replace("0.003", "1e-05")
    (source / "config.json").write_text(text)
    run(program, "import", source, "-o", folder / "gpt2-epsilon-model")
    path = folder / "gpt2.bin"
    run(program, "export", folder / "gpt2-epsilon-model", "-o", path, "--format", "llmc")
    found, vocab = read_llmc(path)
    wanted = {key.removeprefix("transformer."): x for key, x in load_file(ROOT / "gpt2/model.safetensors").items()}
    worst = (found["wte"][:vocab] - wanted["wte.weight"]).abs().max().item() + found["wte"][vocab:].abs().sum().item()
    worst += (found["wpe"] - wanted["wpe.weight"]).abs().max().item()
    for key, x in found.items():
        if key.startswith("w"):
            continue
        theirs = [wanted[key]] if key.startswith("ln_f") else [wanted[f"h.{i}.{key}"] for i in range(x.shape[0])]
        for i, y in enumerate(theirs):
            y = y.T if y.dim() == 2 else y  # Conv1D is (in, out), llm.c (out, in)
            worst += ((x if key.startswith("ln_f") else x[i]) - y).abs().max().item()
    require("gpt2", "tensors of llm.c", worst, 0.0)


def rotary_pairs(x, heads):
    """As llama.cpp's convert_hf_to_gguf.py permutes queries and keys."""
    return x.reshape(heads, 2, x.shape[0] // heads // 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def check_gguf(program, name, model, folder):
    import gguf
    path = folder / f"{name}.gguf"
    run(program, "export", model, "-o", path, "--format", "gguf")
    reader = gguf.GGUFReader(path)
    found = {t.name: torch.tensor(t.data, dtype=torch.float32).reshape([int(n) for n in reversed(t.shape)]) for t in reader.tensors}
    hf_model = hf.AutoModelForCausalLM.from_pretrained(ROOT / name)
    weights, c = hf_model.state_dict(), hf_model.config
    if name == "llama":
        wanted = {"blk.1.attn_q.weight": rotary_pairs(weights["model.layers.1.self_attn.q_proj.weight"], 2),
                  "blk.1.attn_k.weight": rotary_pairs(weights["model.layers.1.self_attn.k_proj.weight"], 1),
                  "blk.0.ffn_gate.weight": weights["model.layers.0.mlp.gate_proj.weight"],
                  "output.weight": weights["lm_head.weight"]}
    else:
        qkv = weights["gpt_neox.layers.1.attention.query_key_value.weight"].reshape(2, 3, 8, 16)
        wanted = {"blk.1.attn_qkv.weight": torch.cat([qkv[:, i].reshape(16, 16) for i in range(3)]),
                  "blk.0.ffn_down.bias": weights["gpt_neox.layers.0.mlp.dense_4h_to_h.bias"],
                  "output_norm.weight": weights["gpt_neox.final_layer_norm.weight"]}
    worst = sum((found[key] - x).abs().max().item() for key, x in wanted.items())
    require(name, "tensors of GGUF", worst, 0.0)


def check(program):
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in MODELS:
            model = folder / name
            run(program, "import", ROOT / name, "-o", model)
            check_hugging_face(program, name, model, folder)
        check_llmc(program, folder / "gpt2", folder)
        try:
            for name in ("llama", "gpt_neox"):
                check_gguf(program, name, folder / name, folder)
        except ImportError as missing:
            print(f"GGUF not compared: {missing}")


if __name__ == "__main__":
    hf.logging.set_verbosity_error()
    hf.logging.disable_progress_bar()
    torch.set_default_dtype(torch.float64)
    if len(sys.argv) == 3 and sys.argv[1] == "--check":
        check(Path(sys.argv[2]).resolve())
    else:
        write()

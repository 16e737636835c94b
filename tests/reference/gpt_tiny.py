#!/usr/bin/env python3
"""Writes gpt_tiny.txt: losses, gradients and ten training losses of a tiny model, computed by PyTorch in float64.

    python3 tests/reference/gpt_tiny.py > tests/reference/gpt_tiny.txt        (Debian: python3-torch)

An independent implementation of the model: autograd instead of our backward passes, torch.optim.AdamW instead of
ours. tests/model/test_reference.cpp fills the same parameters by the formula in `fill` and compares.
"""
import math

import torch
import torch.nn.functional as F

L, C, H, T, V, B = 2, 16, 4, 8, 13, 3
LR, STEPS = 1e-2, 10


def shapes():
    yield "embedding.token", (V, C)
    yield "embedding.position", (T, C)
    for i in range(L):
        a, m = f"blocks.{i}.attention", f"blocks.{i}.mlp"
        for name, shape in ((f"{a}.norm.gain", (1, C)), (f"{a}.norm.bias", (1, C)),
                            (f"{a}.qkv.weight", (C, 3 * C)), (f"{a}.qkv.bias", (1, 3 * C)),
                            (f"{a}.out.weight", (C, C)), (f"{a}.out.bias", (1, C)),
                            (f"{m}.norm.gain", (1, C)), (f"{m}.norm.bias", (1, C)),
                            (f"{m}.up.weight", (C, 4 * C)), (f"{m}.up.bias", (1, 4 * C)),
                            (f"{m}.down.weight", (4 * C, C)), (f"{m}.down.bias", (1, C))):
            yield name, shape
    yield "head.norm.gain", (1, C)
    yield "head.norm.bias", (1, C)


def fill(k, name, shape):
    """Tensor k, element i: 0.3 sin(1.3 k + 0.37 i + 0.011 i^2), plus 1 for gains, rounded to float32."""
    offset = 1.0 if name.endswith("gain") else 0.0
    x = [offset + 0.3 * math.sin(1.3 * k + 0.37 * i + 0.011 * i * i) for i in range(shape[0] * shape[1])]
    return torch.tensor(x, dtype=torch.float32).to(torch.float64).reshape(shape).requires_grad_()


def linear(p, name, x):
    return x @ p[name + ".weight"] + p[name + ".bias"]


def norm(p, name, x):
    return F.layer_norm(x, (C,), p[name + ".gain"][0], p[name + ".bias"][0], 1e-5)


def attention(p, name, x):
    q, k, v = (z.reshape(B, T, H, C // H).transpose(1, 2)
               for z in linear(p, name + ".qkv", norm(p, name + ".norm", x)).split(C, dim=-1))
    scores = q @ k.transpose(-1, -2) / math.sqrt(C // H)
    scores = scores.masked_fill(torch.ones(T, T).triu(1).bool(), -math.inf)
    return x + linear(p, name + ".out", (scores.softmax(-1) @ v).transpose(1, 2).reshape(B, T, C))


def mlp(p, name, x):
    h = linear(p, name + ".up", norm(p, name + ".norm", x))
    h = 0.5 * h * (1 + torch.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3)))
    return x + linear(p, name + ".down", h)


def losses(p, tokens, targets):
    x = p["embedding.token"][tokens] + p["embedding.position"]
    for i in range(L):
        x = mlp(p, f"blocks.{i}.mlp", attention(p, f"blocks.{i}.attention", x))
    logits = norm(p, "head.norm", x) @ p["embedding.token"].T
    return F.cross_entropy(logits.reshape(-1, V), targets.reshape(-1), reduction="none")


def write(name, values):
    print(name, values.numel())
    print(" ".join(f"{v:.8g}" for v in values.detach().reshape(-1).tolist()))


def main():
    p = {name: fill(k, name, shape) for k, (name, shape) in enumerate(shapes())}
    r = torch.arange(B * T)
    tokens, targets = ((r * r + 3 * r) % V).reshape(B, T), ((5 * r + 2) % V).reshape(B, T)
    first = losses(p, tokens, targets)
    write("losses", first)
    first.mean().backward()
    for name, x in p.items():
        write(name, x.grad)

    groups = [{"params": [x for x in p.values() if x.shape[0] > 1], "weight_decay": 0.1},
              {"params": [x for x in p.values() if x.shape[0] == 1], "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.95), eps=1e-8)
    history = []
    for _ in range(STEPS):
        adamw.zero_grad()
        loss = losses(p, tokens, targets).mean()
        history.append(loss.item())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(p.values(), 1.0)
        adamw.step()
    write("training", torch.tensor(history, dtype=torch.float64))


if __name__ == "__main__":
    main()

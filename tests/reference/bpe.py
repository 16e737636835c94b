#!/usr/bin/env python3
"""Vectors for tests/data/test_bpe.cpp: a small byte-level BPE that Hugging Face's tokenizers trained, and what it makes of texts.

    pip install tokenizers && tests/reference/bpe.py

Writes bpe/tokenizer.json, bpe/split.json (with an expression of its own), bpe/vocab.json, bpe/merges.txt and bpe/texts.jsonl.
"""
import json
import pathlib

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

FOLDER = pathlib.Path(__file__).parent / "bpe"
TRAINED_ON = [
    "the quick brown fox jumps over the lazy dog, they'll say; it's 1234 times quicker than the other one!\n" * 3,
    "größer schöner weiter – naïve café, 東京 と 大阪, привет мир привет\n\n\tdef f(x):\n        return x + 1  # done\n" * 3,
]
TEXTS = [
    "", " ", "  ", "\n", "a", "the other fox", " the  other   fox ", "they'll it's IT'S don't", "x\n\n\ny", "x \n y",
    "\t\tdef g(y):\n            return y\n", "12345678901234567890", "½ ² Ⅷ ١٢٣", "東京と大阪", "привет, мир!",
    "e\u0301 café naïve", "🙂🙂 👩‍👩‍👧", "a\u00a0b\u2003c", "word" * 40, " " * 70 + "end", "!?!?...---", "<|endoftext|>",
    "one<|endoftext|>two <|endoftext|>", "<|end", "\u0000\u0001\u007f", "mixed123abc_45", "\r\nline\r\n", "ʼn ſ ﬁ", "…—“”’s",
]


def splits(expression):
    if expression is None:
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(expression), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def trained(expression):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = splits(expression)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(TRAINED_ON, trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
        special_tokens=[AddedToken("<|endoftext|>", special=True, normalized=False)]))
    return tokenizer


def main():
    FOLDER.mkdir(exist_ok=True)
    plain = trained(None)
    digits = trained(r"\p{N}{1,3}| ?[\p{L}\p{M}]+|[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
    plain.save(str(FOLDER / "tokenizer.json"))
    digits.save(str(FOLDER / "split.json"))
    plain.model.save(str(FOLDER))
    with open(FOLDER / "texts.jsonl", "w", encoding="utf-8") as out:
        for text in TEXTS:
            out.write(json.dumps({"text": text, "plain": plain.encode(text).ids, "split": digits.encode(text).ids}) + "\n")


main()

"""A language model and an SAE whose weights are written by hand, so that what each feature means is known.

The model is a GPT-2 of one layer. Its residual stream has a place for each token, one for each position, one for each
token as the token before, and one for quotations. One head looks at the token before and copies it; the other looks at
everything alike, and so sees how many quotations are open. An SAE of real weights then reads rules off that: a token, a
bigram, any number, anything inside a quotation.
"""

import re
from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from saescope.sae import KINDS, SaeConfig, save_sae

POSITIONS = 64
SHARP = 40.0
"""The score of the token before; every other token has none."""
Rule = Callable[[list[str]], set[int]]


def tokenizer_of(texts: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE in which every word of the texts is one token."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<bos>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<bos>", model_max_length=POSITIONS)


class Places:
    """Where things stand in the residual stream."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.position = tokens
        self.before = tokens + POSITIONS
        self.quoted = self.before + tokens
        self.width = self.quoted + 1 + (self.quoted + 1) % 2


def write_model(folder: Path, tokenizer: PreTrainedTokenizerFast) -> Places:
    """Write the checkpoint."""
    strings = [tokenizer.decode([id]) for id in range(len(tokenizer))]
    at = Places(len(strings))
    d, head = at.width, at.width // 2
    config = GPT2Config(vocab_size=len(strings), n_positions=POSITIONS, n_embd=d, n_layer=1, n_head=2, n_inner=4,
                        bos_token_id=0, eos_token_id=0)  # fmt: skip
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        body, block = model.transformer, model.transformer.h[0]
        for norm in (block.ln_1, block.ln_2, body.ln_f):
            norm.weight.fill_(1.0)
        body.wte.weight[range(len(strings)), range(len(strings))] = 1.0
        body.wpe.weight[range(POSITIONS), range(at.position, at.position + POSITIONS)] = 1.0
        mean = 2 / d  # of a row with two ones: what the norm takes away, and what it divides by
        spread = (2 / d - mean**2 + config.layer_norm_epsilon) ** 0.5
        asks = torch.zeros(d, 3 * d)
        here = torch.arange(POSITIONS)
        asks[at.position + here, here] = SHARP * head**0.5  # head 0 asks for the place of the token before ...
        asks[at.position + here[:-1], d + here[:-1] + 1] = 1.0  # ... every token says of which one it stands before ...
        asks[torch.arange(at.tokens), 2 * d + torch.arange(at.tokens)] = 1.0  # ... and what it is
        for id, string in enumerate(strings):
            asks[id, 2 * d + head] = float("“" in string) - float("”" in string)  # head 1: an open quotation
        block.attn.c_attn.weight.copy_(asks * spread)
        block.attn.c_attn.bias.copy_(asks.sum(0) * mean)
        tells = block.attn.c_proj.weight
        tells[torch.arange(at.tokens), at.before + torch.arange(at.tokens)] = 1.0
        tells[head, at.quoted] = float(POSITIONS)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return at


def features(tokenizer: PreTrainedTokenizerFast, words: list[str], bigrams: list[tuple[str, str]]) -> dict[str, Rule]:
    """Every feature's name, and on which tokens of a row it is active."""

    def one(word: str) -> Rule:
        return lambda row: {at for at, token in enumerate(row) if token == " " + word}

    def two(first: str, second: str) -> Rule:
        pair = [" " + first, " " + second]
        return lambda row: {at for at in range(1, len(row)) if row[at - 1 : at + 1] == pair}

    rules: dict[str, Rule] = {f"token {word}": one(word) for word in words}
    rules |= {f"bigram {first} {second}": two(first, second) for first, second in bigrams}
    rules["digits"] = lambda row: {at for at, token in enumerate(row) if re.fullmatch(r" ?[0-9]+", token)}
    rules["quotation"] = _quoted
    return rules


def _quoted(row: list[str]) -> set[int]:
    """From an opening sign up to the word before the closing one."""
    open_, held = 0, set()
    for at, token in enumerate(row):
        open_ += ("“" in token) - ("”" in token)
        if open_ > 0:
            held.add(at)
    return held


def write_sae(folder: Path, tokenizer: PreTrainedTokenizerFast, at: Places, names: list[str]) -> None:
    """Write an SAE of these features, which reads them where the model puts them."""
    ids = {tokenizer.decode([id]): id for id in range(len(tokenizer))}
    encoder, bias = torch.zeros(at.width, len(names)), torch.full((len(names),), -0.5)
    for column, name in enumerate(names):
        kind, *words = name.split(" ")
        if kind == "token":
            encoder[ids[" " + words[0]], column] = 1.0
        elif kind == "bigram":
            encoder[at.before + ids[" " + words[0]], column] = encoder[ids[" " + words[1]], column] = 1.0
            bias[column] = -1.5
        elif kind == "digits":
            encoder[[id for string, id in ids.items() if re.fullmatch(r" ?[0-9]+", string)], column] = 1.0
        else:
            encoder[at.quoted, column] = 1.0
    decoder = (encoder / encoder.norm(dim=0)).T.contiguous()
    cfg = SaeConfig("relu", at.width, len(names), apply_b_dec_to_input=False)
    weights = {"W_enc": encoder, "b_enc": bias, "W_dec": decoder, "b_dec": torch.zeros(at.width)}
    save_sae(KINDS["relu"](cfg, weights), folder)

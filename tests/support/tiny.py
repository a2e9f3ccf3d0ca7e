"""Tiny real things: a byte-level BPE tokenizer trained on a few lines."""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

LINES = [
    "The quick brown fox jumps over the lazy dog.",
    "Fellow citizens of the Senate and of the House of Representatives:",
    "The state of the union is strong, and the people of the United States know it.",
    "Our nation, our economy and our government must serve the people who work.",
    "She sells sea shells by the sea shore; the shells she sells are sea shells.",
    "In the beginning was the word, and the word was with the people.",
    "1790 1865 1945 2001: years of war and peace, of trade and taxes.",
]


def tiny_tokenizer(
    *, vocabulary: int = 384, bos: bool = True, eos: bool = True, pad: bool = True, max_length: int = 128
) -> PreTrainedTokenizerFast:
    """A byte-level BPE that can spell any text; ids 0, 1, 2 are <bos>, <eos>, <pad>, set on request."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<bos>", "<eos>", "<pad>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES, trainer)
    named = {"bos_token": "<bos>" if bos else None, "eos_token": "<eos>" if eos else None}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>" if pad else None,
        model_max_length=max_length,
        **named,
    )


# ---- language models: random weights, two layers, real classes -------------------------------------------

_TINY = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
_GROUPED = {**_TINY, "num_key_value_heads": 2, "head_dim": 8}
_GPT2 = {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64}
FAMILIES: dict[str, dict[str, object]] = {
    "llama": _GROUPED,
    "mistral": {**_GROUPED, "sliding_window": 8},
    "qwen2": {**_TINY, "num_key_value_heads": 2},
    "qwen3": _GROUPED,
    "gemma2": {**_GROUPED, "sliding_window": 8, "query_pre_attn_scalar": 8},
    "gemma3_text": {**_GROUPED, "sliding_window": 8, "query_pre_attn_scalar": 8},
    "gemma3": {},
    "gpt2": _GPT2,
    "gpt_neox": _TINY,
    "phi": _TINY,
    "phi3": {**_TINY, "num_key_value_heads": 2},
    "opt": {
        **{k: v for k, v in _TINY.items() if k != "intermediate_size"},
        "ffn_dim": 48,
        "word_embed_proj_dim": 32,
    },
}


def tiny_causal_lm(family: str = "llama", *, seed: int = 0, **overrides: object):
    """A transformers model of a family with random weights; overrides go to its configuration."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    shared = {"vocab_size": 384, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    if family == "gemma3":
        text = {**FAMILIES["gemma3_text"], **shared, "max_position_embeddings": 64, **overrides}
        vision = {**_TINY, "num_hidden_layers": 1, "image_size": 16, "patch_size": 8}
        values: dict[str, object] = {"text_config": text, "vision_config": vision, "mm_tokens_per_image": 4}
    else:
        limit = {} if family == "gpt2" else {"max_position_embeddings": 64}
        values = {**FAMILIES[family], **shared, **limit, **overrides}
    config = CONFIG_MAPPING[family](**values)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():  # untrained norms are all ones and biases all zeros: they would hide mistakes
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.1)
    return model.eval()


def tiny_model(family: str = "llama", *, seed: int = 0, **overrides: object):
    """A LanguageModel of a family: three layers, d_model 32, vocabulary 384, context 64, random weights."""
    from saescope.models.language_model import LanguageModel

    return LanguageModel(
        tiny_causal_lm(family, seed=seed, **overrides), tiny_tokenizer(), fingerprint=f"{family}-{seed}"
    )


def save_tiny_model(folder, family: str = "llama", *, seed: int = 0, **overrides: object):
    """Write such a model and its tokenizer as a checkpoint folder; the folder."""
    from saescope.models.quiet import quiet

    with quiet():
        tiny_causal_lm(family, seed=seed, **overrides).save_pretrained(folder)
        tiny_tokenizer().save_pretrained(folder)
    return folder

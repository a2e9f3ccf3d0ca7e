"""Continuing a text token by token, with or without edits at a hookpoint."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadValue, Mismatch
from ..models.language_model import LanguageModel
from ..records import Progress, Steered
from ..sae.base import Sae
from ..specs import SteerText
from .edits import FeatureEdits, edits_of


def steer(
    model: LanguageModel,
    sae: Sae,
    hookpoint: str,
    spec: SteerText,
    maxima: Mapping[int, float],
    progress: Callable[[Progress], None] | None = None,
    on_token: Callable[[str, int, float], None] | None = None,
) -> Steered:
    """Continue the prompt once as it is and once with the spec's edits, both sampled with the same seed.

    `original` and `steered` hold what follows the prompt. Raises Mismatch where prompt and new tokens are
    longer than the model's context or the SAE does not fit the hookpoint, and what FeatureEdits raises. on_token: told
    `original` or `steered`, each new token, and its log-probability.
    """
    edits = edits_of(sae, spec.edits, maxima, where=spec.where)
    width = model.hookpoints[model.hookpoint(hookpoint)]
    if width != sae.d_in:
        raise Mismatch(
            f"the SAE reads {sae.d_in} numbers per token, hookpoint {hookpoint} has {width}",
            "use the hookpoint that the SAE was trained on",
        )
    prompt = prompt_ids(model, spec.prompt)
    total, done = 2 * spec.max_new_tokens, 0

    logprobs: dict[str, list[float]] = {"original": [], "steered": []}

    def tell(which: str, token: int, logprob: float) -> None:
        nonlocal done
        done += 1
        logprobs[which].append(logprob)
        if on_token:
            on_token(which, token, logprob)
        if progress:
            progress(Progress("generating", done, total, "tokens"))

    def continued(edits: FeatureEdits | None, which: str) -> list[int]:
        return continue_text(
            model,
            prompt,
            edits=edits,
            hookpoint=hookpoint,
            max_new_tokens=spec.max_new_tokens,
            temperature=spec.temperature,
            seed=spec.seed,
            on_token=partial(tell, which),
        )

    original = continued(None, "original")
    done = spec.max_new_tokens
    steered = continued(edits, "steered")
    if progress:
        progress(Progress("generating", total, total, "tokens"))
    return Steered(
        prompt=spec.prompt,
        original=text_after(model, prompt, original),
        steered=text_after(model, prompt, steered),
        edits=tuple(edit.model_dump() for edit in spec.edits),
        original_token_ids=tuple(original),
        steered_token_ids=tuple(steered),
        original_logprobs=tuple(logprobs["original"]),
        steered_logprobs=tuple(logprobs["steered"]),
    )


def continue_text(
    model: LanguageModel,
    token_ids: Sequence[int],
    *,
    edits: FeatureEdits | None = None,
    hookpoint: str | None = None,
    max_new_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
    on_token: Callable[[int, float], None] | None = None,
) -> list[int]:
    """The tokens that follow, with a KV cache, up to `max_new_tokens` or the end token (not given back).

    The likeliest token at temperature 0, sampled from a generator of its own otherwise. Edits act at
    `hookpoint` (the SAE's own by default) on every position but the first. Raises Mismatch where the
    context is too short. on_token: told each token and its log-probability.
    """
    model.check_context(len(token_ids) + max_new_tokens)
    generator = torch.Generator().manual_seed(seed)
    ends = end_ids(model)
    new: list[int] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        if edits is not None:
            edits.begin(len(token_ids))
            for place, function in edits.places(hookpoint or edits.sae.cfg.hookpoint):
                stack.enter_context(model.editing(place, function))
        following, cache = torch.tensor([list(token_ids)], device=model.device), None
        while len(new) < max_new_tokens:
            output = model.model(input_ids=following, past_key_values=cache, use_cache=True, logits_to_keep=1)
            logits = output.logits[0, -1]
            token = _chosen(logits, temperature, generator)
            if token in ends:
                break
            new.append(token)
            if on_token:
                on_token(token, float(torch.log_softmax(logits.float(), dim=0)[token]))
            following, cache = torch.tensor([[token]], device=model.device), output.past_key_values
    return new


def _chosen(logits: Float[Tensor, "vocab"], temperature: float, generator: torch.Generator) -> int:
    """The next token."""
    if bool(torch.isnan(logits).any()):
        raise BadValue("the model's predictions are no numbers any more", "use smaller amounts in the edits")
    if temperature == 0:
        return int(logits.argmax())
    logits = logits.double().cpu()
    odds = torch.softmax((logits - logits.max()) / temperature, dim=0)
    return int(torch.multinomial(odds, 1, generator=generator))


def prompt_ids(model: LanguageModel, prompt: str) -> list[int]:
    """The prompt's tokens behind the tokenizer's BOS (its EOS where it has none), as a sample begins."""
    tokenizer = model.tokenizer
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    if first is None:
        raise BadValue(
            "the model's tokenizer has neither a BOS nor an EOS token",
            "set bos_token in its tokenizer_config.json",
        )
    return [first, *tokenizer(prompt, add_special_tokens=False)["input_ids"]]


def end_ids(model: LanguageModel) -> set[int]:
    """The tokens that end a text: the tokenizer's EOS and those of the model's generation settings."""
    settings = getattr(model.model, "generation_config", None)
    named = getattr(settings, "eos_token_id", None)
    ends = {named} if isinstance(named, int) else set(named or ())
    return ends | ({model.tokenizer.eos_token_id} - {None})


def text_after(model: LanguageModel, prompt: Sequence[int], new: Sequence[int]) -> str:
    """The text of new tokens as they follow the prompt: some tokenizers drop a leading space otherwise."""

    def decoded(ids: Sequence[int]) -> str:
        return model.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)

    before, whole = decoded(prompt), decoded([*prompt, *new])
    return whole[len(before) :] if whole.startswith(before) else decoded(new)

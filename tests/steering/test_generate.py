"""Continuing text with a tiny real model, with and without edits."""

import pytest
import torch

from saescope.errors import BadValue, Mismatch, NotFound
from saescope.models.language_model import LanguageModel
from saescope.sae.base import SaeConfig
from saescope.sae.kinds import KINDS
from saescope.specs import Edit, SteerText
from saescope.steering.edits import FeatureEdits
from saescope.steering.generate import continue_text, prompt_ids, steer
from support.tiny import tiny_causal_lm, tiny_model, tiny_tokenizer

HOOKPOINT, D_IN, D_SAE = "layers.1.resid_post", 32, 64
PROMPT = "The state of the union"


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def sae():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(D_SAE, D_IN, generator=generator)
    weights = {
        "W_enc": rows.T + torch.randn(D_IN, D_SAE, generator=generator),
        "b_enc": torch.zeros(D_SAE),
        "W_dec": rows / rows.norm(dim=1, keepdim=True),
        "b_dec": torch.zeros(D_IN),
    }
    return KINDS["topk"](SaeConfig("topk", D_IN, D_SAE, 8, hookpoint=HOOKPOINT), weights)


def spec(*edits, **fields):
    fields = {"max_new_tokens": 12} | fields
    return SteerText(sae="s", prompt=PROMPT, edits=tuple(Edit.parse(edit) for edit in edits), **fields)


def without_cache(model, ids, edits, steps, where="all"):
    """The same continuation, with the whole text run again for every token."""
    ids, new = list(ids), []
    for _ in range(steps):
        edits.begin(len(ids) - len(new))
        with torch.inference_mode(), model.editing(HOOKPOINT, edits):
            new.append(int(model.logits(torch.tensor([ids]))[0, -1].argmax()))
        ids.append(new[-1])
    return new


def test_without_edits_the_continuation_is_the_models_own(model):
    ids = prompt_ids(model, PROMPT)
    expected = list(ids)
    for _ in range(10):
        expected.append(int(model.logits(torch.tensor([expected]))[0, -1].argmax()))
    assert continue_text(model, ids, max_new_tokens=10) == expected[len(ids) :]


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "opt"])
@pytest.mark.parametrize("where", ["all", "prompt", "generated"])
def test_edits_act_on_every_new_token_under_the_cache_as_in_a_run_without_it(family, where, sae):
    model = tiny_model(family)
    ids = prompt_ids(model, PROMPT)
    edits = FeatureEdits(sae, [Edit.parse("3:add:40:raw"), Edit.parse("9:ablate")], {}, where=where)
    with_cache = continue_text(model, ids, edits=edits, max_new_tokens=12)
    expected = without_cache(model, ids, edits, 12)
    stop = next((at for at, token in enumerate(expected) if token == 1), 12)
    assert with_cache == expected[:stop]


def test_the_edited_residual_is_shown_for_the_prompt_and_then_for_each_new_token(model, sae):
    edits = FeatureEdits(sae, [Edit.parse("3:ablate")], {})
    shapes, readings = [], []
    inner = edits.edit

    def watched(x):
        new = inner(x)
        shapes.append(len(x))
        readings.append(sae.encode(new)[:, 3])
        return new

    edits.edit = watched
    ids = prompt_ids(model, PROMPT)
    new = continue_text(model, ids, edits=edits, max_new_tokens=8)
    assert shapes == [len(ids) - 1] + [1] * (len(new) - 1)
    assert (torch.cat(readings) == 0).all()


@pytest.mark.parametrize("edit", ["3:add:0", "3:add:0:norm", "3:scale:1", "3:min:0", "3:min:-1:raw"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_edits_that_change_nothing_give_the_same_tokens(model, sae, edit, temperature):
    steered = steer(model, sae, HOOKPOINT, spec(edit, temperature=temperature, max_new_tokens=24), {3: 2.0})
    assert steered.steered_token_ids == steered.original_token_ids
    assert steered.steered == steered.original
    assert len(steered.original_token_ids) > 4


def test_a_strong_edit_changes_the_text_and_both_stand_in_the_record(model, sae):
    steered = steer(model, sae, HOOKPOINT, spec("3:add:3:norm"), {})
    assert steered.prompt == PROMPT
    assert steered.steered != steered.original
    assert steered.edits == ({"feature": 3, "mode": "add", "amount": 3.0, "unit": "norm"},)
    assert not steered.original.startswith(PROMPT)


def test_sampling_depends_on_its_seed_alone(model):
    ids = prompt_ids(model, PROMPT)

    def sampled(seed):
        return continue_text(model, ids, max_new_tokens=16, temperature=1.5, seed=seed)

    first = sampled(1)
    torch.manual_seed(99)
    assert sampled(1) == first
    assert any(sampled(seed) != first for seed in range(2, 5))


def test_every_token_is_told_and_progress_ends_at_its_total(model, sae):
    told, seen = [], []
    ids = prompt_ids(model, PROMPT)
    new = continue_text(model, ids, max_new_tokens=6, on_token=lambda *each: told.append(each))
    assert [token for token, _ in told] == new
    logits = model.model(input_ids=torch.tensor([[*ids, *new]])).logits[0]
    expected = torch.log_softmax(logits.float(), -1)[len(ids) - 1 : -1].gather(1, torch.tensor(new)[:, None])[:, 0]
    torch.testing.assert_close(torch.tensor([logprob for _, logprob in told]), expected, atol=1e-4, rtol=1e-4)
    steer(model, sae, HOOKPOINT, spec("3:ablate"), {}, progress=seen.append)
    assert (seen[-1].done, seen[-1].total, seen[-1].unit) == (24, 24, "tokens")
    assert [step.done for step in seen] == sorted(step.done for step in seen)


def test_the_text_stops_at_the_end_token(sae):
    model = tiny_model()
    ids = prompt_ids(model, PROMPT)
    third = continue_text(model, ids, max_new_tokens=6)[2]
    model.model.generation_config.eos_token_id = [third]
    assert len(continue_text(model, ids, max_new_tokens=6)) <= 2


def test_a_prompt_and_tokens_longer_than_the_context_are_refused_with_both_numbers(model, sae):
    with pytest.raises(Mismatch, match="longer than the model's 64"):
        steer(model, sae, HOOKPOINT, spec("3:ablate", max_new_tokens=64), {})


def test_an_sae_of_another_width_is_refused_with_both_widths(model):
    small = {
        "W_enc": torch.ones(8, 4),
        "b_enc": torch.ones(4),
        "W_dec": torch.ones(4, 8),
        "b_dec": torch.ones(8),
    }
    sae = KINDS["relu"](SaeConfig("relu", 8, 4), small)
    with pytest.raises(Mismatch, match=f"reads 8 numbers per token, hookpoint {HOOKPOINT} has 32"):
        steer(model, sae, HOOKPOINT, spec("3:ablate"), {})


def test_wrong_features_and_hookpoints_are_refused_before_anything_runs(model, sae):
    with pytest.raises(NotFound, match="no feature 64"):
        steer(model, sae, HOOKPOINT, spec("64:ablate"), {})
    with pytest.raises(BadValue, match=r"layers\.9"):
        steer(model, sae, "layers.9.resid_post", spec("3:ablate"), {})


def test_the_prompt_begins_with_bos_or_else_with_eos(model):
    assert prompt_ids(model, "a")[0] == 0
    no_bos = LanguageModel(tiny_causal_lm(), tiny_tokenizer(bos=False))
    assert prompt_ids(no_bos, "a")[0] == 1
    neither = LanguageModel(tiny_causal_lm(), tiny_tokenizer(bos=False, eos=False))
    with pytest.raises(BadValue, match="neither a BOS nor an EOS"):
        prompt_ids(neither, "a")


def test_a_bfloat16_model_can_be_steered_and_ablated(sae):
    model = LanguageModel(tiny_causal_lm().to(torch.bfloat16), tiny_tokenizer())
    steered = steer(model, sae, HOOKPOINT, spec("3:add:3:norm", "4:ablate"), {})
    assert steered.steered != steered.original


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_an_edit_after_which_the_model_predicts_no_numbers_is_refused(model, sae, temperature):
    with pytest.raises(BadValue, match="smaller amounts"):
        steer(model, sae, HOOKPOINT, spec("3:add:3e38:norm", temperature=temperature), {})


def test_a_temperature_next_to_zero_takes_the_likeliest_token(model):
    ids = prompt_ids(model, PROMPT)
    likeliest = continue_text(model, ids, max_new_tokens=5)
    assert continue_text(model, ids, max_new_tokens=5, temperature=1e-320) == likeliest

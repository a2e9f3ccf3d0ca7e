"""Training on activations whose dictionary is known."""

import json

import pytest
import torch

from saescope.errors import BadValue, Mismatch
from saescope.sae import fvu, l0, load_sae, save_sae
from saescope.specs import KINDS
from saescope.training import Checkpoints, Trainer, train
from training.synthetic import D_IN, activations, dictionary, spec

STEPS = 250


def batches(n: int, start: int = 0, size: int = 256):
    return (activations(size, seed) for seed in range(start, n))


@pytest.fixture(scope="module", params=KINDS)
def trained(request: pytest.FixtureRequest):
    trainer = Trainer(spec(request.param), D_IN, total_steps=STEPS)
    return trainer, list(train(trainer, batches(STEPS + 10)))


def test_loss_falls_and_the_run_ends_where_it_should(trained) -> None:
    trainer, steps = trained
    assert [step.step for step in steps] == list(range(1, STEPS + 1))
    assert steps[-1].tokens == STEPS * 256
    assert trainer.finished
    early, late = steps[2], steps[-1]
    assert late.fvu < 0.7 * early.fvu or trainer.spec.kind == "relu"
    if trainer.spec.kind == "relu":
        middle = next(step for step in steps if step.step == STEPS // 10)
        assert late.loss < middle.loss


def test_decoder_rows_have_unit_norm(trained) -> None:
    trainer, _ = trained
    norms = trainer.sae().W_dec.norm(dim=1)
    torch.testing.assert_close(norms, torch.ones_like(norms))


def test_the_known_dictionary_is_found_and_explains_new_activations(trained) -> None:
    trainer, _ = trained
    sae, x = trainer.sae(), activations(2000, 10_000)
    best = (dictionary() @ sae.W_dec.T).amax(1)
    assert float(best.mean()) > 0.8
    assert fvu(x, sae(x)) < (0.5 if trainer.spec.kind == "relu" else 0.25)


def test_features_are_in_the_activations_own_units(trained) -> None:
    """Folding the input's scale changes no reconstruction: it is the trainer's own, scaled back."""
    trainer, _ = trained
    sae, x = trainer.sae(), activations(512, 20_000)
    weights, scale = trainer._weights, trainer.scale
    z = x / scale
    pre = (z - weights.b_dec) @ weights.encoder.T + weights.b_enc
    kind = trainer.spec.kind
    if kind == "topk":
        kept = pre >= pre.topk(trainer.spec.k).values[:, -1:]
        features = pre.relu() * kept
    else:
        limit = {"jumprelu": weights.threshold, "batchtopk": trainer.threshold, "relu": 0.0}[kind]
        features = torch.where(pre > limit, pre, 0)
    expected = (features @ weights.decoder + weights.b_dec) * scale
    torch.testing.assert_close(sae(x), expected.detach(), rtol=1e-3, atol=1e-2)


def test_what_is_saved_encodes_the_same(trained, tmp_path) -> None:
    trainer, _ = trained
    sae, x = trainer.sae(), activations(100, 30_000)
    save_sae(sae, tmp_path)
    back = load_sae(tmp_path)
    assert torch.equal(back.encode(x), sae.encode(x))
    assert back.kind == trainer.spec.kind
    metadata = json.loads((tmp_path / "cfg.json").read_text())["metadata"]
    assert metadata["training_tokens"] == STEPS * 256
    assert metadata["hook_name"] == "blocks.1.hook_resid_post"
    assert (metadata["seed"], metadata["dataset_path"], metadata["context_size"]) == (3, "synthetic", 128)


def test_batchtopk_threshold_gives_about_k_features_per_token() -> None:
    trainer = Trainer(spec("batchtopk"), D_IN, total_steps=STEPS)
    *_, last = train(trainer, batches(STEPS))
    assert last.l0 == 5.0
    assert l0(trainer.sae().encode(activations(4000, 40_000))) == pytest.approx(5, rel=0.15)


def test_jumprelu_comes_near_its_target_l0() -> None:
    trainer = Trainer(spec("jumprelu"), D_IN, total_steps=STEPS)
    list(train(trainer, batches(STEPS)))
    assert l0(trainer.sae().encode(activations(4000, 40_000))) == pytest.approx(5, rel=0.25)


def test_relu_is_sparser_with_a_larger_penalty() -> None:
    counts = []
    for l1 in (0.3, 3.0):
        trainer = Trainer(spec("relu", l1=l1), D_IN, total_steps=100)
        *_, last = train(trainer, batches(100))
        counts.append(last.l0)
    assert counts[0] > 1.3 * counts[1]


@pytest.mark.parametrize("kind", ["topk", "batchtopk"])
def test_auxk_revives_a_feature_killed_by_hand(kind: str) -> None:
    trainer = Trainer(spec(kind, d_sae=48, lr=3e-3), D_IN, total_steps=2000)
    for batch in batches(120):
        trainer.step(batch)
    weights = trainer._weights
    with torch.no_grad():
        weights.b_enc[:4] = -3
    trainer.silent[:4] = trainer.dead_after
    assert trainer.step(activations(256, 500)).dead == 4
    assert bool((weights.encoder.grad[:4].norm(dim=1) > 0).all())
    assert bool((weights.b_enc.grad[:4] != 0).all())
    for batch in batches(750, start=501):
        last = trainer.step(batch)
        if not last.dead:
            break
    assert last.dead == 0


def test_without_dead_features_the_loss_is_the_fvu() -> None:
    step = Trainer(spec("topk"), D_IN, total_steps=10).step(activations(256, 0))
    assert step.loss == pytest.approx(step.fvu, rel=1e-5)


def test_a_feature_is_dead_after_long_silence() -> None:
    trainer = Trainer(spec("topk", batch=256), D_IN, total_steps=8)
    assert trainer.dead_after == 4 * 256
    x = activations(256, 0)[:1].expand(256, -1)
    dead = [trainer.step(x + torch.arange(256)[:, None] * 1e-6).dead for _ in range(5)]
    assert dead[0] == 0
    assert dead[4] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_stop_and_resume_gives_the_same_bits_at_any_step(kind: str, tmp_path) -> None:
    total = 12
    whole = Trainer(spec(kind), D_IN, total_steps=total)
    expected = list(train(whole, batches(total)))
    for stop in (0, 1, 5, 11):
        first = Trainer(spec(kind), D_IN, total_steps=total)
        for batch in batches(stop):
            first.step(batch)
        checkpoints = Checkpoints(tmp_path / str(stop))
        checkpoints.save(stop, *first.state())
        second = Trainer(spec(kind, checkpoint_every=7), D_IN, total_steps=total)
        kept = checkpoints.newest()
        second.load_state(kept.tensors, kept.facts)
        assert list(train(second, batches(total, start=stop))) == expected[stop:]
        for name, tensor in whole.state()[0].items():
            assert torch.equal(second.state()[0][name], tensor), name


def test_a_run_of_something_else_is_not_resumed() -> None:
    trainer = Trainer(spec("topk"), D_IN, total_steps=10)
    trainer.step(activations(64, 0))
    with pytest.raises(Mismatch, match="seed 3, this one 4"):
        Trainer(spec("topk", seed=4), D_IN, total_steps=10).load_state(*trainer.state())
    with pytest.raises(Mismatch, match="total_steps"):
        Trainer(spec("topk"), D_IN, total_steps=11).load_state(*trainer.state())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_activations_that_are_not_finite_stop_the_step_and_change_nothing(value: float) -> None:
    trainer = Trainer(spec("topk"), D_IN, total_steps=10)
    trainer.step(activations(64, 0))
    before = trainer.state()
    bad = activations(64, 1)
    bad[7, 3] = value
    with pytest.raises(BadValue, match="1 of 64 activations at step 2"):
        trainer.step(bad)
    assert trainer.state()[1] == before[1]
    assert all(torch.equal(tensor, before[0][name]) for name, tensor in trainer.state()[0].items())


def test_a_loss_that_is_not_finite_stops_the_step_and_changes_nothing() -> None:
    trainer = Trainer(spec("relu"), D_IN, total_steps=10)
    trainer.step(activations(64, 0))
    before = trainer.state()
    with pytest.raises(BadValue, match="diverged"):
        trainer.step(activations(64, 1) * 1e22)
    assert all(torch.equal(tensor, before[0][name]) for name, tensor in trainer.state()[0].items())


def test_a_batch_of_another_width_is_refused() -> None:
    with pytest.raises(Mismatch, match="24"):
        Trainer(spec("topk"), D_IN, total_steps=10).step(torch.zeros(8, D_IN + 1))


def test_more_active_features_than_there_are_is_refused() -> None:
    with pytest.raises(BadValue, match="k is 97"):
        Trainer(spec("topk", k=97), D_IN, total_steps=10)


def test_the_same_seed_gives_the_same_weights_and_another_does_not() -> None:
    one, two, other = (Trainer(spec("topk", seed=seed), D_IN, total_steps=5) for seed in (1, 1, 2))
    for trainer in (one, two, other):
        list(train(trainer, batches(5)))
    assert torch.equal(one.sae().W_enc, two.sae().W_enc)
    assert not torch.equal(one.sae().W_enc, other.sae().W_enc)


def test_rows_that_do_not_vary_are_survived() -> None:
    trainer = Trainer(spec("topk"), D_IN, total_steps=5)
    for _ in range(2):
        step = trainer.step(torch.zeros(32, D_IN))
    assert step.l0 == 0

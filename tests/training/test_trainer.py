"""Training on activations whose dictionary is known."""

import json

import pytest
import torch

from saescope.errors import BadValue, Mismatch
from saescope.sae import fvu, l0, load_sae, save_sae
from saescope.specs import TRAIN_KINDS
from saescope.training import Checkpoints, Trainer, train
from training.synthetic import D_IN, activations, dictionary, spec
from training.synthetic import trainer as new_trainer

STEPS = 250
PENALISED = ("relu", "gated", "p_anneal", "crosscoder")
"""Kinds that begin dense: their penalty takes explanation away while it is warmed up."""


def batches(n: int, start: int = 0, size: int = 256):
    return (activations(size, seed) for seed in range(start, n))


@pytest.fixture(scope="module", params=TRAIN_KINDS)
def trained(request: pytest.FixtureRequest):
    trainer = new_trainer(request.param, STEPS)
    return trainer, list(train(trainer, batches(STEPS + 10)))


def test_loss_falls_and_the_run_ends_where_it_should(trained) -> None:
    trainer, steps = trained
    assert [step.step for step in steps] == list(range(1, STEPS + 1))
    assert steps[-1].tokens == STEPS * 256
    assert trainer.finished
    early, late = steps[2], steps[-1]
    assert late.fvu < 0.7 * early.fvu or trainer.spec.kind in PENALISED
    if trainer.spec.kind in PENALISED:
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
    if trainer.spec.kind != "crosscoder":  # whose rows are scaled by hookpoint
        # a prefix of a Matryoshka SAE has to explain with few features what many directions make
        assert float(best.mean()) > (0.65 if trainer.spec.kind == "matryoshka" else 0.8)
    assert fvu(x, sae(x)) < (0.5 if trainer.spec.kind in PENALISED else 0.25)


def test_features_are_in_the_activations_own_units(trained) -> None:
    """Folding the input's scale changes no reconstruction: it is the trainer's own, scaled back."""
    trainer, _ = trained
    sae, x = trainer.sae(), activations(512, 20_000)
    weights, kind = trainer._weights, trainer.spec.kind
    into, out = trainer._scale("in"), trainer._scale("out")
    z = x / into
    pre = (z if kind == "crosscoder" else z - weights.b_dec) @ weights.encoder.T + weights.b_enc
    if kind == "topk":
        features = pre.relu() * (pre >= pre.topk(trainer.spec.k).values[:, -1:])
    elif kind == "gated":
        strength = (pre - weights.b_enc) * weights.r_mag.exp() + weights.b_mag
        features = strength.relu() * (pre > 0)
    else:
        limit = weights.threshold if kind == "jumprelu" else trainer.objective.facts.get("threshold", 0.0)
        features = torch.where(pre > limit, pre, 0)
    expected = (features @ weights.decoder + weights.b_dec) * out
    torch.testing.assert_close(sae(x), expected.detach(), rtol=1e-3, atol=1e-2)


def test_what_is_saved_encodes_the_same(trained, tmp_path) -> None:
    trainer, _ = trained
    sae, x = trainer.sae(), activations(100, 30_000)
    save_sae(sae, tmp_path)
    back = load_sae(tmp_path)
    assert torch.equal(back.encode(x), sae.encode(x))
    assert back.kind == trainer.objective.form
    metadata = json.loads((tmp_path / "cfg.json").read_text())["metadata"]
    assert metadata["training_tokens"] == STEPS * 256
    if trainer.spec.kind != "crosscoder":
        assert metadata["hook_name"] == "blocks.1.hook_resid_post"
    assert (metadata["seed"], metadata["dataset_path"], metadata["context_size"]) == (3, "synthetic", 128)


def test_batchtopk_threshold_gives_about_k_features_per_token() -> None:
    trainer = new_trainer("batchtopk", STEPS)
    *_, last = train(trainer, batches(STEPS))
    assert last.l0 == 5.0
    assert l0(trainer.sae().encode(activations(4000, 40_000))) == pytest.approx(5, rel=0.15)


def test_jumprelu_comes_near_its_target_l0() -> None:
    trainer = new_trainer("jumprelu", STEPS)
    list(train(trainer, batches(STEPS)))
    assert l0(trainer.sae().encode(activations(4000, 40_000))) == pytest.approx(5, rel=0.25)


def test_relu_is_sparser_with_a_larger_penalty() -> None:
    counts = []
    for l1 in (0.3, 3.0):
        trainer = new_trainer("relu", 100, l1=l1)
        *_, last = train(trainer, batches(100))
        counts.append(last.l0)
    assert counts[0] > 1.3 * counts[1]


def test_gradients_are_not_held_between_steps() -> None:
    trainer = new_trainer("topk", 10)
    trainer.step(activations(256, 0))
    assert all(parameter.grad is None for parameter in trainer._weights.parameters().values())


@pytest.mark.parametrize("kind", ["topk", "batchtopk"])
def test_auxk_revives_a_feature_killed_by_hand(kind: str) -> None:
    trainer = new_trainer(kind, 2000, d_sae=48, lr=3e-3)
    for batch in batches(120):
        trainer.step(batch)
    weights = trainer._weights
    with torch.no_grad():
        weights.b_enc[:4] = -3
    trainer.silent[:4] = trainer.dead_after
    grads: dict[str, torch.Tensor] = {}
    hooks = [
        getattr(weights, name).register_hook(lambda grad, name=name: grads.update({name: grad[:4].clone()}))
        for name in ("encoder", "b_enc")
    ]
    assert trainer.step(activations(256, 500)).dead == 4
    assert bool((grads["encoder"].norm(dim=1) > 0).all())
    assert bool((grads["b_enc"] != 0).all())
    for hook in hooks:
        hook.remove()
    for batch in batches(750, start=501):
        last = trainer.step(batch)
        if not last.dead:
            break
    assert last.dead == 0


def test_without_dead_features_the_loss_is_the_fvu() -> None:
    step = new_trainer("topk", 10).step(activations(256, 0))
    assert step.loss == pytest.approx(step.fvu, rel=1e-5)


def test_a_feature_is_dead_after_long_silence() -> None:
    trainer = new_trainer("topk", 8, batch=256)
    assert trainer.dead_after == 4 * 256
    x = activations(256, 0)[:1].expand(256, -1)
    dead = [trainer.step(x + torch.arange(256)[:, None] * 1e-6).dead for _ in range(5)]
    assert dead[0] == 0
    assert dead[4] > 0


@pytest.mark.parametrize("kind", TRAIN_KINDS)
def test_stop_and_resume_gives_the_same_bits_at_any_step(kind: str, tmp_path) -> None:
    total = 12
    whole = new_trainer(kind, total)
    expected = list(train(whole, batches(total)))
    for stop in (0, 1, 5, 11):
        first = new_trainer(kind, total)
        for batch in batches(stop):
            first.step(batch)
        checkpoints = Checkpoints(tmp_path / str(stop))
        checkpoints.save(stop, *first.state())
        second = new_trainer(kind, total, checkpoint_every=7)
        kept = checkpoints.newest()
        second.load_state(kept.tensors, kept.facts)
        assert list(train(second, batches(total, start=stop))) == expected[stop:]
        for name, tensor in whole.state()[0].items():
            assert torch.equal(second.state()[0][name], tensor), name


def test_a_run_of_sixty_steps_may_be_killed_at_each_of_them(tmp_path) -> None:
    """What is taken up makes the next step as the one that went on does, and so every one after it."""
    total = 60
    run, checkpoints = new_trainer("topk", total), Checkpoints(tmp_path)
    for stop, batch in enumerate(batches(total, size=64)):
        checkpoints.save(stop, *run.state())
        resumed, kept = new_trainer("topk", total), checkpoints.newest()
        resumed.load_state(kept.tensors, kept.facts)
        assert resumed.step(batch) == run.step(batch)
        assert resumed.state()[1] == run.state()[1]
        assert all(torch.equal(resumed.state()[0][name], tensor) for name, tensor in run.state()[0].items())


def test_a_run_of_something_else_is_not_resumed() -> None:
    trainer = new_trainer("topk", 10)
    trainer.step(activations(64, 0))
    with pytest.raises(Mismatch, match="seed 3, this one 4"):
        new_trainer("topk", 10, seed=4).load_state(*trainer.state())
    with pytest.raises(Mismatch, match="total_steps"):
        new_trainer("topk", 11).load_state(*trainer.state())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_activations_that_are_not_finite_stop_the_step_and_change_nothing(value: float) -> None:
    trainer = new_trainer("topk", 10)
    trainer.step(activations(64, 0))
    before = trainer.state()
    bad = activations(64, 1)
    bad[7, 3] = value
    with pytest.raises(BadValue, match="1 of 64 activations at step 2"):
        trainer.step(bad)
    assert trainer.state()[1] == before[1]
    assert all(torch.equal(tensor, before[0][name]) for name, tensor in trainer.state()[0].items())


def test_a_loss_that_is_not_finite_stops_the_step_and_changes_nothing() -> None:
    trainer = new_trainer("relu", 10)
    trainer.step(activations(64, 0))
    before = trainer.state()
    with pytest.raises(BadValue, match="diverged"):
        trainer.step(activations(64, 1) * 1e22)
    assert all(torch.equal(tensor, before[0][name]) for name, tensor in trainer.state()[0].items())


def test_a_batch_of_another_width_is_refused() -> None:
    with pytest.raises(Mismatch, match="24"):
        new_trainer("topk", 10).step(torch.zeros(8, D_IN + 1))


def test_more_active_features_than_there_are_is_refused() -> None:
    with pytest.raises(BadValue, match="k is 97"):
        new_trainer("topk", 10, k=97)


def test_the_same_seed_gives_the_same_weights_and_another_does_not() -> None:
    one, two, other = (new_trainer("topk", 5, seed=seed) for seed in (1, 1, 2))
    for trainer in (one, two, other):
        list(train(trainer, batches(5)))
    assert torch.equal(one.sae().W_enc, two.sae().W_enc)
    assert not torch.equal(one.sae().W_enc, other.sae().W_enc)


def test_rows_that_do_not_vary_are_survived() -> None:
    trainer = new_trainer("topk", 5)
    for _ in range(2):
        step = trainer.step(torch.zeros(32, D_IN))
    assert step.l0 == 0


# ---- targets, options and measures ---------------------------------------------------------------------------------


def mapped(x: torch.Tensor) -> torch.Tensor:
    """What the transcoders here are to write: another dictionary's rows, in other units."""
    mix = torch.randn(D_IN, 16, generator=torch.Generator().manual_seed(9)) / D_IN**0.5
    return torch.relu((x - 3) @ mix) * 0.1 - 1


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("kind", ["topk", "batchtopk", "jumprelu", "relu"])
def test_a_transcoder_is_trained_saved_and_writes_what_it_learned(kind: str, skip: bool, tmp_path) -> None:
    changes: dict[str, object] = {"hookpoint_out": "layers.1.mlp_out", "skip": skip, "l1": 0.2}
    run = Trainer(spec(kind, **changes), D_IN, total_steps=STEPS, d_out=16)
    steps = list(train(run, ((x, mapped(x)) for x in batches(STEPS))))
    assert steps[-1].fvu < 0.6 * steps[0].fvu
    x = activations(2000, 10_000)
    sae = run.sae()
    assert (sae.cfg.d_out, sae.cfg.skip, sae.cfg.hookpoint_out) == (16, skip, "layers.1.mlp_out")
    assert fvu(mapped(x), sae(x)) == pytest.approx(steps[-1].fvu, abs=0.12)
    save_sae(sae, tmp_path)
    assert torch.equal(load_sae(tmp_path)(x), sae(x))


def test_a_transcoder_wants_pairs_and_an_sae_does_not() -> None:
    x = activations(64, 0)
    with pytest.raises(Mismatch, match="pairs"):
        Trainer(spec("topk", hookpoint_out="layers.1.mlp_out"), D_IN, total_steps=10).step(x)
    with pytest.raises(Mismatch, match="pairs"):
        new_trainer("topk", 10).step(x, x)


def test_outliers_are_left_out_and_counted() -> None:
    run, plain = new_trainer("topk", 10, outliers=5.0), new_trainer("topk", 10)
    x = activations(256, 0)
    loud = torch.cat([x, x[:3] * 1000])
    assert run.step(loud).fvu == plain.step(x).fvu
    assert (run.outliers, run.tokens) == (3, 259)


@pytest.mark.parametrize("b_dec", ["median", "mean", "zero"])
def test_b_dec_begins_where_it_was_asked_to(b_dec: str) -> None:
    run = new_trainer("topk", 10_000, b_dec=b_dec, lr=1e-9)
    x = activations(256, 0)
    run.step(x)
    ours = run.sae().b_dec
    expected = {"mean": x.mean(0), "zero": torch.zeros(D_IN)}.get(b_dec)
    if expected is None:
        grad = ((x - ours) / (x - ours).norm(dim=1, keepdim=True)).mean(0)
        assert float(grad.norm()) < 1e-3
    else:
        torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-3)


def test_a_small_clip_bounds_the_gradient() -> None:
    run = new_trainer("topk", 10, clip=1e-3)
    run.step(activations(256, 0))
    total = sum(float(tensor.square().sum()) for name, tensor in run.state()[0].items() if name.endswith(".exp_avg"))
    assert total**0.5 == pytest.approx(0.1 * 1e-3, rel=1e-3)  # the first moment after one step: a tenth of the gradient


def test_multi_topk_keeps_k_features_and_explains_more_with_four_times_as_many() -> None:
    losses = {}
    for multi in (False, True):
        run = new_trainer("topk", STEPS, multi_topk=multi)
        *_, last = train(run, batches(STEPS))
        assert last.l0 == pytest.approx(5, abs=0.1)
        x, wide = activations(2000, 10_000), run.sae()
        pre = (x - wide.b_dec) @ wide.W_enc + wide.b_enc
        kept = pre.relu() * (pre >= pre.topk(20).values[:, -1:])
        losses[multi] = fvu(x, kept @ wide.W_dec + wide.b_dec)
    assert losses[True] < 0.7 * losses[False]


@pytest.mark.parametrize("penalty", ["step", "tanh"])
def test_a_larger_penalty_makes_jumprelu_sparser(penalty: str) -> None:
    counts = []
    for l1 in (0.05, 1.0):
        run = new_trainer("jumprelu", STEPS, penalty=penalty, l1=l1)
        *_, last = train(run, batches(STEPS))
        counts.append(last.l0)
    assert counts[0] > 1.2 * counts[1]


def test_p_annealing_ends_sparser_than_its_l1_alone() -> None:
    counts = []
    for anneal_from in (0.3, 0.999):
        run = new_trainer("p_anneal", STEPS, anneal_from=anneal_from)
        *_, last = train(run, batches(STEPS))
        counts.append(last.l0)
    assert counts[0] < counts[1]


def test_prefixes_of_a_matryoshka_sae_explain_by_themselves() -> None:
    errors = {}
    for kind in ("batchtopk", "matryoshka"):
        run = new_trainer(kind, STEPS, prefixes=(24,))
        list(train(run, batches(STEPS)))
        sae, x = run.sae(), activations(2000, 10_000)
        errors[kind] = fvu(x, sae.encode(x)[:, :24] @ sae.W_dec[:24] + sae.b_dec)
    assert errors["matryoshka"] < 0.8 * errors["batchtopk"]


def test_a_measure_says_what_dense_arithmetic_says_and_changes_nothing() -> None:
    run = new_trainer("topk", 50)
    for batch in batches(20):
        run.step(batch)
    before = run.state()
    weights = {name: tensor.clone() for name, tensor in run._weights.parameters().items()}
    run.step(x := activations(256, 77))
    after, measured = run.state(), run.measure()
    z = x / run.scale
    pre = (z - weights["b_dec"]) @ weights["encoder"].T + weights["b_enc"]
    f = (pre.relu() * (pre >= pre.topk(5).values[:, -1:])).detach()
    density = (f > 0).double().mean(0)
    assert measured.l1 == pytest.approx(float(f.sum(1).mean()) * run.scale, rel=1e-4)
    assert measured.dense == int((density > 0.1).sum())
    assert sum(measured.densities) == int((density > 0).sum())
    y_hat = (f @ weights["decoder"] + weights["b_dec"]).detach()
    assert measured.shrinkage == pytest.approx(float(y_hat.square().sum() / (y_hat * z).sum()), rel=1e-4)
    assert after[1] == run.state()[1]
    assert before[1]["steps"] + 1 == after[1]["steps"]

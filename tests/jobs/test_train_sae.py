"""The job of training: what it leaves behind, in company and alone, stopped and gone on with."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import saescope
from saescope.errors import BadValue, Interrupted, NameTaken, NotFound
from saescope.models.language_model import LanguageModel
from saescope.records import Progress
from saescope.sae import Sae, read_sae
from saescope.store import catalogue
from saescope.store.metrics import metrics
from saescope.studio import Studio
from saescope.training import Trainer

FIELDS: dict[str, Any] = {
    "model": "wide", "dataset": "text", "hookpoint": "layers.1.resid_post", "d_sae": 24, "k": 3, "context": 16,
    "batch": 64, "tokens": 64 * 30, "buffer": 256, "checkpoint_every": 7, "metrics_every": 4, "l1": 0.5,
}  # fmt: skip


def spec(**changes: Any) -> saescope.TrainSae:
    return saescope.TrainSae(**{**FIELDS, **changes})


def folder(studio: Studio, name: str) -> Path:
    return studio.home.artifact("saes", catalogue.sae(studio.db, name).id)


def trained(studio: Studio, name: str) -> Sae:
    return read_sae(folder(studio, name))


def rows(studio: Studio, name: str) -> list[dict[str, Any]]:
    """Rows of metrics without the clock's column."""
    return metrics(folder(studio, name)).drop_columns(["tokens_per_second"]).to_pylist()


def same(one: Sae, other: Sae) -> bool:
    return all(torch.equal(tensor, other.weights[name]) for name, tensor in one.weights.items())


def test_no_more_tokens_are_trained_on_than_were_asked_for(studio: Studio) -> None:
    assert studio.run(spec(tokens=100, batch=1_000_000_000))["tokens"] == 100


def test_a_run_that_cannot_be_resumed_leaves_no_work_behind(studio: Studio) -> None:
    with pytest.raises(NotFound, match="no checkpoint"):
        studio.run(spec(), resume=True)
    assert list(studio.home.work.iterdir()) == []


def test_each_sae_comes_out_in_company_as_it_does_alone(studio: Studio) -> None:
    """Other kinds, widths, seeds and hookpoints beside it change no bit of weights and metrics."""
    lanes = [
        spec(name="a", kind="topk"),
        spec(name="b", kind="batchtopk", seed=5, hookpoint="layers.0.mlp_out", d_sae=17),
        spec(name="c", kind="jumprelu", hookpoint="layers.0.mlp_out", k=2),
        spec(name="d", kind="topk", hookpoint="layers.1.mlp_in", hookpoint_out="layers.1.mlp_out", skip=True),
        spec(name="e", kind="crosscoder", hookpoint="layers.0.resid_post+layers.1.resid_post"),
    ]
    together = studio.run(saescope.TrainSaes(saes=lanes))
    assert [each["sae"] for each in together["saes"]] == list("abcde")
    for lane in lanes:
        studio.run(lane.model_copy(update={"name": f"{lane.name}-alone"}))
        assert same(trained(studio, lane.name), trained(studio, f"{lane.name}-alone")), lane.kind
        assert rows(studio, lane.name) == rows(studio, f"{lane.name}-alone")


def test_what_the_model_is_run_for_does_not_grow_with_company(studio: Studio) -> None:
    alone = studio.run(spec(name="one"))["tokens_read"]
    company = studio.run(saescope.TrainSaes(saes=[spec(name=f"n{seed}", seed=seed) for seed in range(3)]))
    assert [each["tokens_read"] for each in company["saes"]] == [alone] * 3


def test_saes_of_different_streams_are_not_trained_together() -> None:
    with pytest.raises(BadValue, match="context must be the same"):
        saescope.TrainSaes(saes=[spec(), spec(context=32)])


def test_two_of_one_name_are_refused_before_anything_runs(studio: Studio) -> None:
    with pytest.raises(BadValue, match="same name"):
        studio.run(saescope.TrainSaes(saes=[spec(name="twin"), spec(name="twin", seed=1)]))
    studio.run(spec(name="there"))
    with pytest.raises(NameTaken):
        studio.run(saescope.TrainSaes(saes=[spec(name="new", seed=1), spec(name="there")]))
    assert "new" not in [sae.name for sae in studio.saes()]
    with pytest.raises(BadValue, match="nothing but their names"):
        studio.run(saescope.TrainSaes(saes=[spec(name="x"), spec(name="y")]))


@pytest.mark.parametrize("kind", ["topk", "crosscoder"])
def test_a_trained_sae_can_be_extracted(studio: Studio, kind: str) -> None:
    places = {"topk": {"hookpoint": "layers.0.mlp_in", "hookpoint_out": "layers.0.mlp_out"},
              "crosscoder": {"hookpoint": "layers.0.resid_post+layers.1.resid_post"}}  # fmt: skip
    studio.run(spec(name="it", kind=kind, **places[kind]))
    answer = studio.run(saescope.ExtractFeatures(saes=("it",), dataset="text", context=16, samples=20, force=True))
    assert answer["features"] == 24
    assert studio.list_features(answer["extraction"], where="not dead")["matching"] > 0


def test_a_crosscoder_is_not_steered_with(studio: Studio) -> None:
    studio.run(spec(name="wide-one", kind="crosscoder", hookpoint="layers.0.resid_post+layers.1.resid_post"))
    edit = saescope.Edit(feature=1, mode="add", amount=1, unit="raw")
    with pytest.raises(BadValue, match="crosscoder"):
        studio.run(saescope.SteerText(sae="wide-one", prompt="The", edits=(edit,)))


# ---- metrics -------------------------------------------------------------------------------------------------------


def test_rows_of_metrics_stand_for_the_steps_asked_for(studio: Studio) -> None:
    studio.run(spec(name="m", evaluate_every=10))
    kept = rows(studio, "m")
    assert [row["step"] for row in kept] == [1, 4, 8, 10, 12, 16, 20, 24, 28, 30]
    evaluated = [row for row in kept if row["kl"] is not None]
    assert [row["step"] for row in evaluated] == [10, 20, 30]
    assert all(row["kl"] > 0 and row["ce_recovered"] < 1 for row in evaluated)
    assert all(sum(row["densities"]) <= 24 and row["shrinkage"] > 0 and row["l1"] > 0 for row in kept)


def test_measuring_more_often_changes_no_weight(studio: Studio) -> None:
    studio.run(spec(name="seldom", metrics_every=1000))
    studio.run(spec(name="often", metrics_every=1, evaluate_every=5))
    assert same(trained(studio, "seldom"), trained(studio, "often"))


# ---- stopped, killed, gone on with ---------------------------------------------------------------------------------


class _Killed(BaseException):
    """What nothing in the code catches: as if the process were gone, but for blocks of cleaning up."""


def stop_at(studio: Studio, step: int, how: Any) -> Any:
    """A listener that does something when training has come to a step told."""

    def tell(progress: Progress) -> None:
        if progress.phase == "training" and progress.done >= step * 64:
            how()

    return tell


@pytest.fixture
def whole(studio: Studio) -> Studio:
    """A home in which `whole` was trained without a stop."""
    studio.run(spec(name="whole"))
    return studio


def test_a_run_that_is_asked_to_stop_checkpoints_and_goes_on_to_the_same_bits(whole: Studio) -> None:
    with pytest.raises(Interrupted, match="of 30"):
        whole.run(spec(name="cut"), progress=stop_at(whole, 10, whole.context.stop.set))
    whole.context.stop.clear()
    answer = whole.run(spec(name="cut"), resume=True)
    assert answer["steps"] == 30
    assert same(trained(whole, "cut"), trained(whole, "whole"))
    assert rows(whole, "cut") == rows(whole, "whole")
    assert list(whole.home.work.iterdir()) == []


def test_without_resume_a_stopped_run_goes_on_all_the_same(whole: Studio) -> None:
    with pytest.raises(Interrupted):
        whole.run(spec(name="cut"), progress=stop_at(whole, 10, whole.context.stop.set))
    whole.context.stop.clear()
    said: list[str] = []
    whole.run(spec(name="cut"), notify=said.append)
    assert any("going on from step" in line for line in said)
    assert same(trained(whole, "cut"), trained(whole, "whole"))


SEAMS = [
    ("saescope.training.checkpoints.save_file", 1), ("saescope.training.checkpoints.save_file", 2),
    ("saescope.training.checkpoints.sync_tree", 2), ("saescope.training.checkpoints.sync_folder", 2),
    ("saescope.training.checkpoints.Checkpoints._tidy", 3), ("saescope.store.metrics.MetricLines.sync", 2),
    ("saescope.store.metrics.MetricLines.add", 5), ("saescope.jobs.train_sae.reconstruction", 1),
    ("saescope.jobs.train_sae.spliced", 1), ("saescope.jobs.add_sae.save_sae", 1),
    ("saescope.store.metrics.MetricLines.keep", 1), ("saescope.jobs.add_sae.catalogue.add_sae", 1),
    ("saescope.jobs.context.Context.clear_work", 1),
]  # fmt: skip


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("seam", "call"), SEAMS)
def test_a_kill_at_any_seam_loses_nothing(
    whole: Studio, seam: str, call: int, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    parts = seam.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            owner: Any = importlib.import_module(".".join(parts[:cut]))
            break
        except ModuleNotFoundError:
            continue
    for part in parts[cut:-1]:
        owner = getattr(owner, part)
    original, calls = getattr(owner, parts[-1]), 0

    def killing(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and not after:
            raise _Killed
        answer = original(*arguments, **named)
        if calls == call:
            raise _Killed
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(owner, parts[-1], killing)
        with pytest.raises(_Killed):
            whole.run(spec(name="cut"))
    assert calls >= call
    listed = any(sae.name == "cut" for sae in whole.saes())
    whole.run(spec(name="cut"), **({"resume": True} if listed else {}))
    assert same(trained(whole, "cut"), trained(whole, "whole"))
    assert rows(whole, "cut") == rows(whole, "whole")
    assert list(whole.home.work.iterdir()) == []


def test_numbers_that_are_none_never_replace_a_good_checkpoint(whole: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Trainer.step

    def poisoned(self: Trainer, x: torch.Tensor, y: torch.Tensor | None = None) -> Any:
        return original(self, x * float("nan") if self.steps == 17 else x, y)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "step", poisoned)
        with pytest.raises(BadValue, match="at step 18 are not finite"):
            whole.run(spec(name="cut"))
    said: list[str] = []
    whole.run(spec(name="cut"), resume=True, notify=said.append)
    assert any("from step 14" in line for line in said)
    assert same(trained(whole, "cut"), trained(whole, "whole"))


# ---- the cache -----------------------------------------------------------------------------------------------------


def test_a_second_training_reads_the_cache_and_runs_no_model(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    first = studio.run(spec(name="first", cache="float16"))
    assert first["tokens_read"] > 0

    def refuse(*_: Any) -> Any:
        raise AssertionError("the model was run")

    with monkeypatch.context() as patched:
        patched.setattr(saescope.jobs.train_sae, "spliced", lambda *_: saescope.jobs.evaluate_sae.Spliced(None, None))
        patched.setattr(LanguageModel, "read", refuse)
        second = studio.run(spec(name="second", cache="float16"))
    assert second["tokens_read"] == 0
    assert same(trained(studio, "first"), trained(studio, "second"))


def test_in_float32_a_cached_run_is_the_run_without_a_cache(studio: Studio) -> None:
    studio.run(spec(name="plain"))
    for name in ("filling", "reading"):
        studio.run(spec(name=name, cache="float32"))
        assert same(trained(studio, "plain"), trained(studio, name))


@pytest.mark.parametrize(
    "changes", [{"context": 32}, {"hookpoint": "layers.0.resid_post"}, {"include_special": True}, {"cache": "bfloat16"}]
)
def test_a_changed_request_never_finds_the_cache_of_another(studio: Studio, changes: dict[str, Any]) -> None:
    studio.run(spec(name="first", cache="float16"))
    assert studio.run(spec(**{"name": "second", "cache": "float16", **changes}))["tokens_read"] > 0
    assert len(saescope.jobs.activation_cache.caches(studio.home)) == 2


def test_a_cache_of_a_killed_run_is_gone_on_with(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    studio.run(spec(name="plain", cache="float32"))
    for found in studio.home.artifact("activations", "").iterdir():
        present = np.load(found / "present.npy")
        present[::3] = False
        np.save(found / "present.npy", present)
        whole = np.memmap(found / "rows.bin", np.uint32, "r+")
        starts = np.load(found / "starts.npy")
        for row in np.flatnonzero(~present):
            whole[32 * starts[row] : 32 * starts[row + 1]] = 0x7FC00000  # no numbers: would be noticed
    again = studio.run(spec(name="again", cache="float32"))
    assert 0 < again["tokens_read"] < 30 * 64
    torch.testing.assert_close(trained(studio, "again").W_enc, trained(studio, "plain").W_enc, rtol=1e-3, atol=1e-4)


def test_activations_too_large_for_a_format_are_refused(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    original = LanguageModel.read

    def loud(self: LanguageModel, *arguments: Any) -> Any:
        return {name: x * 1e6 for name, x in original(self, *arguments).items()}

    monkeypatch.setattr(LanguageModel, "read", loud)
    with pytest.raises(BadValue, match="too large for float16"):
        studio.run(spec(name="loud", cache="float16"))

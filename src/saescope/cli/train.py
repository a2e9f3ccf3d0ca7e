"""`saescope train`: one SAE on one hookpoint, or several on one stream of activations."""

import itertools
from functools import partial
from typing import Annotated, Any

import typer

from .common import State, command
from .spec_help import default, option, sentences

_default = partial(default, "TrainSae")
_MANY = ("hookpoint", "kind", "d_sae", "k", "l1", "lr", "seed")
"""Options that may be given several times: every combination is trained, on one stream."""


def _option(field: str, **more: Any) -> Any:
    if field not in _MANY:
        return option("TrainSae", field, **more)
    help = f"{sentences()['TrainSae'][field][0]} May be given several times."
    return typer.Option("--" + field.replace("_", "-"), help=help, **more)


def add(app: typer.Typer, panel: str) -> None:
    command(app, "train", rich_help_panel=panel)(train)


def train(
    state: State,
    model: Annotated[str, _option("model", show_default=False)],
    dataset: Annotated[str, _option("dataset", show_default=False)],
    hookpoint: Annotated[list[str], _option("hookpoint", show_default=False)],
    kind: Annotated[list[str], _option("kind")] = [_default("kind")],  # noqa: B006
    d_sae: Annotated[list[int], _option("d_sae")] = [_default("d_sae")],  # noqa: B006
    tokens: Annotated[int, _option("tokens")] = _default("tokens"),
    k: Annotated[list[int], _option("k")] = [_default("k")],  # noqa: B006
    l1: Annotated[list[float], _option("l1")] = [_default("l1")],  # noqa: B006
    name: Annotated[str | None, _option("name", show_default=False)] = _default("name"),
    seed: Annotated[list[int], _option("seed")] = [_default("seed")],  # noqa: B006
    shuffle_seed: Annotated[int, _option("shuffle_seed")] = _default("shuffle_seed"),
    batch: Annotated[int, _option("batch")] = _default("batch"),
    lr: Annotated[list[float] | None, _option("lr", show_default=False)] = None,
    context: Annotated[int, _option("context")] = _default("context"),
    packing: Annotated[str, _option("packing")] = _default("packing"),
    buffer: Annotated[int, _option("buffer")] = _default("buffer"),
    reuse: Annotated[int, _option("reuse")] = _default("reuse"),
    cache: Annotated[str, _option("cache")] = _default("cache"),
    checkpoint_every: Annotated[int, _option("checkpoint_every")] = _default("checkpoint_every"),
    metrics_every: Annotated[int, _option("metrics_every")] = _default("metrics_every"),
    evaluate_every: Annotated[int, _option("evaluate_every")] = _default("evaluate_every"),
    include_special: Annotated[bool, _option("include_special")] = _default("include_special"),
    hookpoint_out: Annotated[str | None, _option("hookpoint_out", show_default=False)] = _default("hookpoint_out"),
    skip: Annotated[bool, _option("skip")] = _default("skip"),
    multi_topk: Annotated[bool, _option("multi_topk")] = _default("multi_topk"),
    prefixes: Annotated[list[int] | None, _option("prefixes", show_default=False)] = None,
    penalty: Annotated[str, _option("penalty")] = _default("penalty"),
    p_end: Annotated[float, _option("p_end")] = _default("p_end"),
    anneal_from: Annotated[float, _option("anneal_from")] = _default("anneal_from"),
    b_dec: Annotated[str, _option("b_dec")] = _default("b_dec"),
    warm_up: Annotated[float, _option("warm_up")] = _default("warm_up"),
    decay: Annotated[float, _option("decay")] = _default("decay"),
    sparsity_warm_up: Annotated[float, _option("sparsity_warm_up")] = _default("sparsity_warm_up"),
    clip: Annotated[float, _option("clip")] = _default("clip"),
    dead_after: Annotated[int | None, _option("dead_after", show_default=False)] = _default("dead_after"),
    outliers: Annotated[float | None, _option("outliers", show_default=False)] = _default("outliers"),
    estimate: Annotated[bool, _option("estimate")] = _default("estimate"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint of the same request; there has to be one.")
    ] = False,
) -> None:
    """Train SAEs on the activations of one model: one, or every combination of what is given several times."""
    fields: dict[str, Any] = {key: value for key, value in locals().items() if key not in ("state", "resume")}
    from .show import work

    fields |= {"prefixes": tuple(prefixes or ()), "lr": lr or [None]}
    spec = _spec(fields)
    show = work.train_estimate if estimate else work.train
    state.answer(state.run(spec, stoppable=True, resume=resume), show, dataset=dataset)


def _spec(fields: dict[str, Any]) -> Any:
    """One SAE, or the grid of them, each named by what tells it from the others."""
    from ..specs import TrainSae, TrainSaes

    varied = {field: list(dict.fromkeys(fields.pop(field))) for field in _MANY}
    combinations = [dict(zip(varied, values, strict=True)) for values in itertools.product(*varied.values())]
    if len(combinations) == 1:
        return TrainSae(**fields, **combinations[0])
    several = [field for field, values in varied.items() if len(values) > 1]
    prefix = fields.pop("name")
    return TrainSaes(saes=tuple(TrainSae(**fields, **one, name=_name(prefix, one, several)) for one in combinations))


def _name(prefix: str | None, chosen: dict[str, Any], several: list[str]) -> str:
    """What tells an SAE from the others of its grid."""
    told = () if prefix else ("kind", "hookpoint", "d_sae")
    words = [prefix] if prefix else [chosen[field] for field in told]
    for field in several:
        if field not in told:
            words.append(
                chosen[field] if field in ("kind", "hookpoint") else f"{field.replace('_', '')}{chosen[field]}"
            )
    return "-".join(map(str, words)).replace("+", "-and-")

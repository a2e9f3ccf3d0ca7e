"""`saescope bench`: how fast this machine does the work, against what the work cannot do without."""

from functools import partial
from typing import Annotated, Any

from .common import State, command, group
from .spec_help import default, option

app = group("bench", "Measure this machine.")
_option = partial(option, "BenchExtract")
_default = partial(default, "BenchExtract")


@command(app, "extract")
def extract(
    state: State,
    d_sae: Annotated[list[int], _option("d_sae")] = list(_default("d_sae")),  # noqa: B006
    samples: Annotated[list[int], _option("samples")] = list(_default("samples")),  # noqa: B006
    kinds: Annotated[list[str], _option("kinds", "--kind")] = list(_default("kinds")),  # noqa: B006
    saes: Annotated[int, _option("saes")] = _default("saes"),
    model: Annotated[str | None, _option("model", show_default=False)] = _default("model"),
    dataset: Annotated[str | None, _option("dataset", show_default=False)] = _default("dataset"),
    hookpoint: Annotated[str, _option("hookpoint")] = _default("hookpoint"),
    context: Annotated[int, _option("context")] = _default("context"),
    top_k: Annotated[int, _option("top_k")] = _default("top_k"),
    loops: Annotated[bool, _option("loops", "--loops/--no-loops")] = _default("loops"),
) -> None:
    """Time an extraction against its floor: one forward pass and one encoder product on the same tokens."""
    fields: dict[str, Any] = {key: value for key, value in locals().items() if key != "state"}
    from ..specs import BenchExtract
    from .show.bench import extract as shown

    lists = {name: tuple(dict.fromkeys(fields[name])) for name in ("d_sae", "samples", "kinds")}
    spec = BenchExtract(**{**fields, **lists})
    state.answer(state.watch(lambda progress, notify: state.studio.bench_extract(spec, progress, notify)), shown)

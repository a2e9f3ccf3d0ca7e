"""`saescope label`: describe features from their examples."""

from typing import Annotated

import typer

from .common import State, checked, command
from .spec_help import argument, default, option


def add(app: typer.Typer, panel: str) -> None:
    command(app, "label", rich_help_panel=panel)(label)


def label(
    state: State,
    extraction: Annotated[str, argument("LabelFeatures", "extraction", show_default=False)],
    features: Annotated[str, option("LabelFeatures", "features")] = default("LabelFeatures", "features"),
    explainer: Annotated[str, option("LabelFeatures", "explainer")] = default("LabelFeatures", "explainer"),
    llm: Annotated[str | None, option("LabelFeatures", "llm", show_default=False)] = None,
    llm_url: Annotated[str | None, option("LabelFeatures", "llm_url", show_default=False)] = None,
    llm_model: Annotated[str | None, option("LabelFeatures", "llm_model", show_default=False)] = None,
    budget: Annotated[str | None, option("LabelFeatures", "budget", show_default=False)] = None,
    concurrency: Annotated[int, option("LabelFeatures", "concurrency")] = default("LabelFeatures", "concurrency"),
    timeout: Annotated[float, option("LabelFeatures", "timeout")] = default("LabelFeatures", "timeout"),
    estimate: Annotated[bool, option("LabelFeatures", "estimate", "--estimate")] = False,
    prompt: Annotated[str | None, option("LabelFeatures", "prompt", show_default=False)] = None,
    score: Annotated[str, option("LabelFeatures", "score")] = default("LabelFeatures", "score"),
    seed: Annotated[int, option("LabelFeatures", "seed")] = default("LabelFeatures", "seed"),
    again: Annotated[bool, option("LabelFeatures", "again", "--again")] = False,
    show_prompt: Annotated[
        int | None,
        typer.Option(
            "--show-prompt",
            metavar="FEATURE",
            help="Only print what an LLM would be asked for this feature; nothing is asked.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Describe the features of an extraction, and score the descriptions."""
    from ..specs import LabelFeatures
    from .show import labels, work

    spec = checked(
        LabelFeatures,
        extraction=extraction,
        features=features,
        explainer=explainer,
        llm=llm,
        llm_url=llm_url,
        llm_model=llm_model,
        budget=budget,
        concurrency=concurrency,
        timeout=timeout,
        estimate=estimate,
        prompt=prompt,
        score=score,
        seed=seed,
        again=again,
    )
    if show_prompt is not None:
        asked = state.look(lambda: state.studio.show_prompt(spec, show_prompt))
        state.answer(asked, labels.rendered)
        return
    state.answer(state.run(spec, stoppable=True), work.label_estimate if estimate else work.label)

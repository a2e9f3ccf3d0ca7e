"""`show_prompt`: what an LLM would be asked for one feature's label. Nothing is asked."""

from typing import Any

from ..specs import LabelFeatures, ShowPrompt
from .context import Context
from .label_estimate import show_prompt


def run(spec: ShowPrompt, context: Context) -> dict[str, Any]:
    """The prompt of one feature, filled in."""
    fields = {"extraction": spec.extraction, "explainer": spec.explainer, "prompt": spec.prompt, "seed": spec.seed}
    return show_prompt(LabelFeatures(**fields), spec.feature, context)

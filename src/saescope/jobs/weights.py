"""Facts that depend on weights alone are worked out once for an SAE and kept beside it."""

from collections.abc import Iterator

import safetensors.numpy
import torch
from torch import Tensor, nn

from ..data.vocabulary import vocabulary
from ..extraction.weights import WeightFacts, weight_facts
from ..models.language_model import LanguageModel
from ..records import Progress, SaeInfo
from ..sae.base import Sae
from .context import Context


def facts_of(record: SaeInfo, sae: Sae, model: LanguageModel, context: Context) -> WeightFacts:
    """The tokens each feature writes and its nearest features, from the home or worked out now."""
    folder = context.home.artifact("facts", record.id)
    if folder.is_dir():
        return WeightFacts(**safetensors.numpy.load_file(folder / "facts.safetensors"))
    facts = None
    for done, result in work_out(sae, model):
        context.tell(Progress("reading weights", done, sae.d_sae, "features"))
        facts = result
    assert facts is not None
    with context.home.making("facts", record.id) as draft:
        safetensors.numpy.save_file(facts.arrays(), draft / "facts.safetensors")
    return facts


def work_out(sae: Sae, model: LanguageModel) -> Iterator[tuple[int, WeightFacts | None]]:
    """The facts of an SAE on its model, in the making: as `weight_facts`."""
    unembedding, norm = model.unembedding()
    unembedding = unembedding[: len(vocabulary(model.tokenizer))]  # rows that only pad the table stand for no token
    gain = None if norm is None else _gain(norm, unembedding)
    return weight_facts(sae.W_dec.detach(), unembedding, gain)


@torch.inference_mode()
def _gain(norm: nn.Module, unembedding: Tensor) -> Tensor:
    """What a final norm multiplies each number with: read off a vector of mean 0 and size 1, and its opposite."""
    width = unembedding.shape[1]
    v = torch.ones(width, dtype=unembedding.dtype, device=unembedding.device)
    v[1::2] = -1
    return (norm(v[None]) - norm(-v[None]))[0] / (2 * v)

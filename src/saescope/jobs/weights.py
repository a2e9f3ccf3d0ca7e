"""Facts that depend on weights alone are worked out once for an SAE and kept beside it."""

from collections.abc import Iterator

import numpy as np
import safetensors.numpy
import torch
from torch import Tensor, nn

from ..data.vocabulary import vocabulary
from ..extraction.weights import WeightFacts, weight_facts
from ..home import Home
from ..models.language_model import LanguageModel
from ..records import Progress, SaeInfo
from ..sae.base import Sae
from .context import Context
from .neighbors import NORMS


def facts_of(record: SaeInfo, sae: Sae, model: LanguageModel, context: Context) -> WeightFacts:
    """The tokens each feature writes and its nearest features, from the home or worked out now.

    Of an SAE too large for that the nearest features are left out: `neighbors_of` finds them for the one looked at.
    """
    folder = context.home.artifact("facts", record.id)
    if folder.is_dir():
        return WeightFacts(**safetensors.numpy.load_file(folder / "facts.safetensors"))
    facts = None
    for done, result in work_out(sae, model):
        context.tell(Progress("reading weights", done, sae.d_sae, "features"))
        facts = result
    assert facts is not None
    keep_facts(facts, record, sae, context.home)
    return facts


def keep_facts(facts: WeightFacts, record: SaeInfo, sae: Sae, home: Home) -> None:
    """Put them into the home, with what the neighbours that were left out need to be found later."""
    with home.making("facts", record.id) as draft:
        safetensors.numpy.save_file(facts.arrays(), draft / "facts.safetensors")
        if sae.d_sae > 1 and not facts.neighbor_ids.shape[1]:
            np.save(draft / NORMS, sae.W_dec.detach().float().norm(dim=1).cpu().numpy())


def work_out(sae: Sae, model: LanguageModel) -> Iterator[tuple[int, WeightFacts | None]]:
    """The facts of an SAE on its model, in the making: as `weight_facts`."""
    unembedding, norm = model.unembedding()
    unembedding = unembedding[: len(vocabulary(model.tokenizer))]  # rows that only pad the table stand for no token
    gain = None if norm is None else _gain(norm, unembedding)
    # of a crosscoder the last hookpoint's part writes; its neighbours are by that part too
    last = sae.W_dec.detach()[:, -model.d_model :]
    return weight_facts(last, unembedding, gain)


@torch.inference_mode()
def _gain(norm: nn.Module, unembedding: Tensor) -> Tensor:
    """What a final norm multiplies each number with: read off a vector of mean 0 and size 1, and its opposite."""
    width = unembedding.shape[1]
    v = torch.ones(width, dtype=unembedding.dtype, device=unembedding.device)
    v[1::2] = -1
    return (norm(v[None]) - norm(-v[None]))[0] / (2 * v)

"""How much of a language model's loss survives when the SAE's reconstruction takes the activation's place."""

from ..errors import BadValue


def ce_recovered(clean: float, zero: float, reconstructed: float) -> float:
    """Share of the cross-entropy recovered: 1 where the model loses nothing, 0 where a zero activation does
    as well.

    The three losses are means over the same tokens, in nats: untouched, hookpoint set to zero, hookpoint
    replaced by the SAE's reconstruction. Below 0: worse than zero. As in Gao et al. 2024, section 4.1, and
    SAEBench.
    """
    if zero == clean:
        raise BadValue(
            f"cross-entropy is {clean:g} with and without the hookpoint, so nothing can be recovered",
            "measure at a hookpoint that the model's output depends on",
        )
    return (zero - reconstructed) / (zero - clean)

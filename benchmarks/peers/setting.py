"""What every tool is given, and the one form in which each says what it found.

Nothing but numpy is used here: the same file runs in the environment of every tool.

    WORK/setting.json     the sizes, the hookpoint, the features to look at
    WORK/tokens.npy       int32 [samples, context], no padding
    WORK/model/           a checkpoint folder that transformers 4 and 5 read alike
    WORK/saelens/         the SAE as SAELens keeps it
    WORK/sparsify/        the same SAE as sparsify keeps it, for the kinds that sparsify has
    WORK/times-TOOL.json  seconds and memory
    WORK/found-TOOL.npz   activations and strongest examples
"""

import json
import resource
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Setting:
    """The work, the same for every tool."""

    kind: str
    """topk or jumprelu."""
    layer: int
    """The hookpoint is the residual stream behind this layer."""
    samples: int
    context: int
    d_in: int
    d_sae: int
    k: int
    special: tuple[int, ...]
    """Ids of BOS, EOS and padding: they and position 0 are not valid."""
    features: tuple[int, ...]
    """The features whose findings are compared, and on which the slower tools are timed."""
    model: str
    """What the model is called."""
    dataset: str

    @property
    def hookpoint(self) -> str:
        return f"layers.{self.layer}.resid_post"

    def write(self, work: Path) -> None:
        (work / "setting.json").write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, work: Path) -> "Setting":
        fields = json.loads((work / "setting.json").read_text())
        return cls(**{**fields, "special": tuple(fields["special"]), "features": tuple(fields["features"])})


@dataclass(frozen=True)
class Found:
    """What a tool says of the setting's features.

    A row is one sample as one feature sees it, all positions of it. `value` holds the non-zero ones; a position of a
    shown row without a value is a zero that the tool told of.
    """

    row_feature: np.ndarray
    row_sample: np.ndarray
    value_row: np.ndarray
    """Index into the rows."""
    value_position: np.ndarray
    value: np.ndarray
    example_feature: np.ndarray
    example_sample: np.ndarray
    example_start: np.ndarray
    """The example is the tokens start..stop of the sample; examples of a feature stand strongest first."""
    example_stop: np.ndarray
    density: np.ndarray
    """Percent of all tokens on which each of the setting's features is active; NaN where a tool does not say."""
    absolute_rounding: float
    """How far a value may lie from what the tool computed, because of how it is written down."""
    relative_rounding: float
    valid_only: bool
    """Whether the tool leaves out the tokens that are not valid; their values are zero then."""
    most_examples: int
    """Examples kept of a feature; 0: all of them."""

    def write(self, path: Path) -> None:
        np.savez_compressed(path, **asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Found":
        with np.load(path, allow_pickle=False) as file:
            return cls(**{name: file[name] if file[name].ndim else file[name].item() for name in file.files})


def write_times(
    work: Path,
    tool: str,
    package: str,
    setting: Setting,
    fixed: float,
    per_feature: float,
    measured: int,
    **more: object,
) -> None:
    """Write what a run took.

    `fixed` seconds fall once whatever the number of features, `per_feature` for each; the sum over all features is
    measured where `measured` is d_sae, and worked out from the two otherwise.
    """
    seconds = fixed + per_feature * setting.d_sae
    times = {
        "tool": tool,
        "version": version(package),
        "torch": version("torch"),
        "transformers": version("transformers"),
        "fixed_seconds": fixed,
        "seconds_per_feature": per_feature,
        "features_measured": measured,
        "seconds_all_features": seconds,
        "samples_per_second": setting.samples / seconds,
        "tokens_per_second": setting.samples * setting.context / seconds,
        "peak_memory_bytes": peak_memory(),
        **more,
    }
    (work / f"times-{tool}.json").write_text(json.dumps(times, indent=1) + "\n")


def peak_memory() -> int:
    """The most memory this process has held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

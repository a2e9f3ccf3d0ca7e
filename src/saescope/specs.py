"""What can be asked: one small frozen object per verb.

The library, the command line, the web form and the saved run all hold these same objects. The sentence under
each field is the flag's help, the form's hint and the API's description. Nothing writes into a spec.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from .errors import BadValue

Kind = Literal["topk", "batchtopk", "jumprelu", "relu"]
KINDS: tuple[Kind, ...] = ("topk", "batchtopk", "jumprelu", "relu")
TrainKind = Literal["topk", "batchtopk", "matryoshka", "jumprelu", "relu", "gated", "p_anneal", "crosscoder"]
TRAIN_KINDS: tuple[TrainKind, ...] = (
    "topk", "batchtopk", "matryoshka", "jumprelu", "relu", "gated", "p_anneal", "crosscoder",
)  # fmt: skip
Mode = Literal["add", "set", "min", "scale", "ablate"]
Unit = Literal["max", "raw", "norm"]
Packing = Literal["packed", "documents"]
SaeFormat = Literal[
    "auto", "saelens", "dictionary_learning", "sparsify", "llamascopium", "llama_scope", "gemma_scope", "gemma_scope_2",
    "goodfire", "mapping",
]  # fmt: skip

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def _checked_name(name: object) -> object:
    if isinstance(name, str) and not _NAME.fullmatch(name):
        raise ValueError("use letters, digits, '.', '_' and '-' only, 1 to 100 of them")
    return name


def _checked_batch(size: object) -> object:
    """`auto`, or a whole number of samples."""
    if size == "auto":
        return size
    if isinstance(size, str) and re.fullmatch("[0-9]{1,12}", size):
        size = int(size)
    if isinstance(size, int) and not isinstance(size, bool) and size > 0:
        return size
    raise ValueError("use 'auto' or a positive whole number of samples")


def checked_name(name: str) -> str:
    """The name, where it can be one; BadValue otherwise."""
    if not _NAME.fullmatch(name):
        raise BadValue(f"name: {name[:100]!r}", "use letters, digits, '.', '_' and '-' only, 1 to 100 of them")
    return name


Name = Annotated[str, BeforeValidator(_checked_name)]
Seed = Annotated[int, Field(ge=0, lt=2**53)]
Positive = Annotated[int, Field(gt=0, lt=2**31)]
BatchSize = Annotated[Literal["auto"] | int, BeforeValidator(_checked_batch)]


class Spec(BaseModel):
    """A request, frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def __init__(self, **fields: object) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise _bad_value(type(self), error) from None


_VERBS = {
    "AddDataset": "saescope dataset add",
    "AddModel": "saescope model add",
    "AddSae": "saescope sae add",
    "CheckSae": "saescope sae check",
    "TrainSae": "saescope train",
    "TrainSaes": "saescope train",
    "ExtractFeatures": "saescope extract",
    "BenchExtract": "saescope bench extract",
    "LabelFeatures": "saescope label",
    "ShowPrompt": "saescope label",
    "FireText": "saescope features fire",
    "FireLongText": "saescope features fire",
    "SteerText": "saescope steer",
    "RunDemo": "saescope demo",
    "FindNeighbors": "saescope features show",
    "Edit": "saescope steer",
}


def _bad_value(spec: type, error: ValidationError) -> BadValue:
    """The first thing wrong with a spec, as one line."""
    first = error.errors()[0]
    hint = f"the help of {_VERBS.get(spec.__name__, spec.__name__)} says more"
    message = first["msg"].removeprefix("Value error, ")
    message = f"{message[:1].lower()}{message[1:]}"
    if not first["loc"]:  # fields that do not go together: the message names them
        return BadValue(message.replace("_", "-"), hint)
    flag = str(first["loc"][0]).replace("_", "-")
    given = "" if first["type"] == "missing" else f", not {first['input']!r}"
    return BadValue(f"{flag}: {message}{given}", hint)


class AddDataset(Spec):
    """Bring documents into the home."""

    name: Name
    """What to call the dataset."""
    source: str
    """hf:ORG/NAME[:CONFIG], or a path or glob of .txt .jsonl .csv .parquet files."""
    text_field: str | None = None
    """The column or key that holds the text; guessed, with a message, when it is not given."""
    split: str = "train"
    """The split of a hub dataset."""
    limit: int | None = Field(default=None, gt=0)
    """Take this many documents at most."""


class AddModel(Spec):
    """Bring a language model into the home."""

    name: Name
    """What to call the model."""
    source: str
    """A Hugging Face id, a local checkpoint folder, or a .gguf file."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number format to run in; auto takes float32 on a CPU and the checkpoint's own on a GPU."""
    quantize: Literal["none", "int8", "int4"] = "none"
    """Weight-only quantization: int8 on a CPU, int8 or int4 on CUDA."""


class AddSae(Spec):
    """Bring a trained SAE into the home."""

    name: Name
    """What to call the SAE."""
    source: str
    """A local folder or file in any supported format, or hf:ORG/NAME/path[@REVISION]."""
    model: str
    """The language model whose activations it reads."""
    hookpoint: str | None = None
    """Where it reads them: layers.N.resid_post, resid_pre, mlp_in, mlp_out or attn_out, or embed; else as files say."""
    hookpoint_out: str | None = None
    """Where a transcoder writes; by default as its files say, or the mlp_out beside its mlp_in."""
    format: SaeFormat = "auto"
    """The library that wrote it; detected by default."""
    mapping: str | None = None
    """For a file of plain tensors: a JSON file that says which tensor is which (docs/formats.md)."""
    scale: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """What activations were multiplied with in training, where its files do not say it."""
    split_signs: bool = False
    """Make two features of each signed one (abstopk): its positive and its negative side, d_sae further on."""


class CheckSae(Spec):
    """Does an SAE fit a model's hookpoint, and if not, why?"""

    sae: str
    """An SAE of the home, or a folder, file or hf: source of one that is not in it yet."""
    model: str
    """The language model."""
    dataset: str
    """The dataset to read a little of."""
    hookpoint: str | None = None
    """Where to read; by default the SAE's own hookpoint."""
    samples: int = Field(default=32, gt=0)
    """Rows of the tokenized dataset to read."""
    context: int = Field(default=128, gt=1)
    """Tokens per row."""


class TrainSae(Spec):
    """Train one SAE on one hookpoint."""

    model: str
    """The language model to read."""
    dataset: str
    """The dataset whose text it reads."""
    hookpoint: str
    """Where to read: layers.N.resid_post, resid_pre, mlp_in, mlp_out or attn_out, or embed; a crosscoder: A+B+C."""
    kind: TrainKind = "topk"
    """topk, batchtopk, matryoshka, jumprelu, relu, gated, p_anneal or crosscoder (docs/training.md)."""
    d_sae: int = Field(default=4096, gt=0, lt=2**31)
    """Number of features."""
    tokens: int = Field(default=1_000_000, gt=0)
    """Activations to train on; the dataset is read again as often as that takes."""
    k: int = Field(default=32, gt=0)
    """Active features per token (topk: exactly; batchtopk, matryoshka: on average; jumprelu: the target L0)."""
    l1: float = Field(default=5.0, ge=0, allow_inf_nan=False)
    """Sparsity coefficient of relu, gated, p_anneal and crosscoder, and of jumprelu's step and tanh penalties."""
    name: Name | None = None
    """What to call the SAE; made from kind, hookpoint and width when it is not given."""
    seed: Seed = 0
    """The first weights come from this number."""
    shuffle_seed: Seed = 0
    """The order of activations and the rows held out come from this number; SAEs trained together share it."""
    batch: int = Field(default=2048, gt=0)
    """Activations per step."""
    lr: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Peak learning rate; by default 2e-4 / sqrt(d_sae / 16384), as in Gao et al. 2024, times 4 for short runs."""
    context: int = Field(default=128, gt=1)
    """Tokens per row of the tokenized dataset."""
    packing: Packing = "packed"
    """packed: documents follow each other in full rows; documents: every document begins a row of its own."""
    buffer: int = Field(default=262_144, gt=0)
    """Activations held for shuffling: the bound of the stream's memory."""
    reuse: int = Field(default=1, gt=0)
    """How often each activation in the buffer is drawn before it is replaced: fewer model passes, less variety."""
    cache: Literal["none", "float16", "bfloat16", "float32"] = "none"
    """Keep activations on the disk in this format, and read them from there when a run needs them again."""
    checkpoint_every: int = Field(default=2000, gt=0)
    """Steps between checkpoints."""
    metrics_every: int = Field(default=50, gt=0)
    """Steps between rows of metrics."""
    evaluate_every: int = Field(default=0, ge=0)
    """Steps between measurements of cross-entropy recovered and KL on held-out rows; 0: at the end only."""
    include_special: bool = False
    """Train on position 0 and on BOS, EOS and padding tokens too."""
    hookpoint_out: str | None = None
    """Train a transcoder: what it is to write, from what `hookpoint` holds; layers.N.mlp_in to layers.N.mlp_out."""
    skip: bool = False
    """Give a transcoder a straight connection from input to output besides (Paulo et al. 2025)."""
    multi_topk: bool = False
    """topk: let four times k features reconstruct too, at an eighth of the weight (Gao et al. 2024)."""
    prefixes: tuple[Positive, ...] = ()
    """matryoshka: numbers of features that reconstruct by themselves; by default d_sae / 16, 8, 4 and 2."""
    penalty: Literal["target", "step", "tanh"] = "target"
    """jumprelu: aim at an L0 of k, or weigh L0 (step) or tanh of the activations (tanh) by l1."""
    p_end: float = Field(default=0.2, gt=0, le=1)
    """p_anneal: the power at the end of the run."""
    anneal_from: float = Field(default=0.25, ge=0, lt=1)
    """p_anneal: the share of the run after which the power begins to fall from 1."""
    b_dec: Literal["median", "mean", "zero"] = "median"
    """Where the decoder's bias begins: geometric median or mean of the first batch, or zero."""
    warm_up: float = Field(default=0.05, ge=0, le=1)
    """Share of the steps over which the learning rate rises, 1,000 steps at most."""
    decay: float = Field(default=0.2, ge=0, le=1)
    """Share of the steps, at the end, over which the learning rate falls to zero."""
    sparsity_warm_up: float = Field(default=0.05, ge=0, le=1)
    """Share of the steps over which a sparsity penalty rises."""
    clip: float = Field(default=1.0, gt=0)
    """Largest norm of a step's whole gradient; a larger one is scaled down to it."""
    dead_after: int | None = Field(default=None, gt=0)
    """Tokens of silence after which a feature is dead; by default a tenth of the run, at most ten million."""
    outliers: float | None = Field(default=None, gt=1, allow_inf_nan=False)
    """Leave out activations whose norm is more than so many times the median of the first batch; by default none."""
    estimate: bool = False
    """Measure a few blocks and steps, say what the training would take in time, memory and disk, and stop."""

    @model_validator(mode="after")
    def _fitting(self) -> "TrainSae":
        if self.skip and self.hookpoint_out is None:
            raise ValueError("skip is for transcoders: give hookpoint_out too")
        if ("+" in self.hookpoint) != (self.kind == "crosscoder"):
            raise ValueError("a crosscoder, and nothing else, reads several hookpoints: A+B")
        if self.kind == "crosscoder" and self.hookpoint_out is not None:
            raise ValueError("a crosscoder writes where it reads: leave hookpoint_out away")
        return self


_SHARED = (
    "model", "dataset", "tokens", "shuffle_seed", "batch", "context", "packing", "buffer", "reuse", "cache",
    "checkpoint_every", "metrics_every", "evaluate_every", "include_special", "estimate",
)  # fmt: skip
"""What SAEs that are trained together have in common."""


class TrainSaes(Spec):
    """Train several SAEs on one stream of activations: the model runs once for all."""

    saes: tuple[TrainSae, ...] = Field(min_length=1)
    """The SAEs; each comes out as if it were trained alone."""

    @model_validator(mode="after")
    def _one_stream(self) -> "TrainSaes":
        first = self.saes[0]
        for other in self.saes[1:]:
            for field in _SHARED:
                if getattr(other, field) != getattr(first, field):
                    raise ValueError(
                        f"{field} must be the same for SAEs trained together, and is "
                        f"{getattr(first, field)!r} and {getattr(other, field)!r}"
                    )
        return self


class ExtractFeatures(Spec):
    """Pass a dataset through a model and its SAEs: statistics and strongest examples of every feature."""

    saes: tuple[str, ...] = Field(min_length=1)
    """The SAEs, all of one model."""
    dataset: str
    """The dataset to read."""
    samples: int | None = Field(default=None, gt=0)
    """Rows of the tokenized dataset to read; all of them when it is not given."""
    context: int = Field(default=128, gt=1)
    """Tokens per row."""
    packing: Packing = "packed"
    """packed: documents follow each other in full rows; documents: every document begins a row of its own."""
    top_k: int = Field(default=100, gt=0, lt=2**31)
    """Strongest examples to keep for each feature."""
    window: int = Field(default=32, gt=0)
    """Tokens kept around the peak of each example."""
    vectorization_batch_size: BatchSize = "auto"
    """Samples reduced at once: auto, 1, 32, 64, 128, 256 or any number. It changes memory and speed, never results."""
    include_special: bool = False
    """Count position 0 and BOS, EOS and padding tokens too."""
    seed: Seed = 0
    """Chooses which quantile and non-active examples are kept."""
    name: Name | None = None
    """What to call the extraction; made from the SAE and the dataset when it is not given."""
    force: bool = False
    """Go on even if the SAE explains less than nothing at its hookpoint."""
    estimate: bool = False
    """Only say what it would take: time, peak memory and disk, measured on a few blocks; nothing is extracted."""
    estimate_for: tuple[str, ...] = ()
    """A GPU to work the estimate out for, such as 'RTX 3090' or h100, or 'all'; instead of the usual four."""


class BenchExtract(Spec):
    """Time an extraction against its floor on this machine."""

    d_sae: tuple[Positive, ...] = (4096, 16_384, 65_536, 131_072)
    """Numbers of features."""
    samples: tuple[Positive, ...] = (32, 128, 512)
    """Numbers of samples."""
    kinds: tuple[Kind, ...] = ("topk",)
    """Kinds of SAE: topk, batchtopk, jumprelu or relu."""
    saes: int = Field(default=1, gt=0)
    """SAEs in one pass."""
    model: str | None = None
    """The language model of the home to read; the demo's when it is not given."""
    dataset: str | None = None
    """The dataset of the home to read; the demo's held-back text when it is not given."""
    hookpoint: str = "layers.12.resid_post"
    """Where the SAEs read."""
    context: int = Field(default=128, gt=1)
    """Tokens per row."""
    top_k: int = Field(default=100, gt=0, lt=2**31)
    """Strongest examples to keep for each feature."""
    loops: bool = True
    """Time the sequential loop and its first vectorization too, on a few samples."""


class LabelFeatures(Spec):
    """Describe features from their examples."""

    extraction: str
    """The extraction whose features to describe."""
    features: str = "all"
    """Which: 'all', or indices and ranges such as 0-99,512. Dead features are passed over."""
    explainer: Literal["lexical", "llm", "llm-contrastive"] = "lexical"
    """Who describes them: lexical (shared tokens and neighbourhoods, no LLM), llm, or llm-contrastive."""
    llm: str | None = None
    """Which LLM writes and judges (`saescope llm list`); where there is only one, it need not be named."""
    llm_url: str | None = None
    """Instead of llm: the address of a server that needs no key, such as http://localhost:11434/v1."""
    llm_model: str | None = None
    """With llm_url: the model to ask there."""
    prompt: str | None = None
    """What an LLM is asked for a label: a prompt by name (`saescope prompts list`), or a .md or .txt file."""
    score: str = "detection,fuzzing"
    """Which scores to measure, by commas: detection, fuzzing, simulation, intruder, surprisal; or none."""
    seed: Seed = 0
    """Chooses which samples are written from and which are graded with."""
    again: bool = False
    """Write labels that this very request has written before once more; else they are passed over."""
    budget: str | None = None
    """What an LLM may cost: 2.50 (in the currency of its prices), '800 calls' or '3M tokens'; never exceeded."""
    concurrency: int = Field(default=16, gt=0, le=256)
    """Calls at once, at the most; fewer while the server has too much."""
    timeout: float = Field(default=120.0, gt=0, le=3600)
    """Seconds that one call may take, from beginning to end."""
    estimate: bool = False
    """Only say what it would take: calls, tokens and money; nothing is asked."""

    @model_validator(mode="after")
    def _one_server(self) -> "LabelFeatures":
        if (self.llm_url is None) != (self.llm_model is None):
            raise ValueError("give llm_url and llm_model together")
        if self.llm is not None and self.llm_url is not None:
            raise ValueError("give llm, or llm_url with llm_model: not both")
        if self.explainer == "lexical" and (self.llm or self.llm_url or self.budget or self.estimate):
            raise ValueError("the lexical explainer asks no LLM: give explainer llm or llm-contrastive")
        return self


class ShowPrompt(Spec):
    """What would an LLM be asked for a feature's label?"""

    extraction: str
    """The extraction."""
    feature: int = Field(ge=0, lt=2**31)
    """The feature's index."""
    explainer: Literal["llm", "llm-contrastive"] = "llm"
    """Who describes it: llm, or llm-contrastive."""
    prompt: str | None = None
    """What is asked: a prompt by name, or a .md or .txt file."""
    seed: Seed = 0
    """Chooses which samples are written from."""


class FireText(Spec):
    """Which features fire on a text."""

    extraction: str
    """The extraction whose SAE, model and labels to use."""
    text: str = Field(min_length=1)
    """Any text, up to the model's context."""
    limit: int = Field(default=20, gt=0)
    """Features to show, strongest first."""


class FireLongText(Spec):
    """Which features fire on a text of any length, and where: positions and values in place of one number a token."""

    extraction: str
    """The extraction whose SAE, model and labels to use."""
    text: str = Field(min_length=1)
    """Any text."""
    limit: int = Field(default=20, gt=0)
    """Features to show, strongest first."""
    longest: int = Field(default=2048, gt=1)
    """Tokens of a longer text that are read; as many as the model's context at most."""


class FindNeighbors(Spec):
    """Features whose decoder rows point most nearly the same way as one's."""

    extraction: str
    """An extraction of the SAE."""
    feature: int = Field(ge=0)
    """The feature's index."""


class RunDemo(Spec):
    """The whole pipeline on a real model and real text."""


class Edit(Spec):
    """One change to one feature while the model runs."""

    feature: int = Field(ge=0)
    """The feature's index."""
    mode: Mode = "add"
    """add, set (clamp to), min (at least), scale, or ablate."""
    amount: float = Field(default=0.0, allow_inf_nan=False)
    """How much, in units of `unit`; a factor for scale; nothing for ablate."""
    unit: Unit = "max"
    """max: multiples of the feature's largest activation; raw: its own units; norm: multiples of the residual norm."""

    @classmethod
    def parse(cls, text: str) -> "Edit":
        """Read FEATURE:MODE:AMOUNT[:UNIT], as typed after --edit; `512:ablate` needs no amount."""
        parts = text.split(":")
        hint = "write FEATURE:MODE:AMOUNT[:UNIT], for example 512:add:2:max or 512:ablate"
        if not 2 <= len(parts) <= 4 or not re.fullmatch("[0-9]{1,12}", parts[0]):
            raise BadValue(f"edit {text!r} cannot be read", hint)
        fields: dict[str, Any] = {"feature": int(parts[0]), "mode": parts[1]}
        if len(parts) == 2 and parts[1] != "ablate":
            raise BadValue(f"edit {text!r} has no amount", hint)
        if len(parts) > 2 and parts[2]:
            try:
                fields["amount"] = float(parts[2])
            except ValueError:
                raise BadValue(f"edit {text!r}: {parts[2]!r} is not a number", hint) from None
        if len(parts) == 4:
            fields["unit"] = parts[3]
        return cls(**fields)

    def __str__(self) -> str:
        if self.mode in ("ablate",):
            return f"{self.feature}:ablate"
        unit = "" if self.mode == "scale" else f":{self.unit}"
        return f"{self.feature}:{self.mode}:{self.amount:g}{unit}"


class SteerText(Spec):
    """Continue a prompt with and without edits to features."""

    sae: str
    """The SAE whose features are edited."""
    prompt: str = Field(min_length=1)
    """The text to continue."""
    edits: tuple[Edit, ...] = Field(min_length=1)
    """The changes to make."""
    where: Literal["all", "prompt", "generated"] = "all"
    """Which tokens the edits act on."""
    max_new_tokens: int = Field(default=64, gt=0)
    """Tokens to generate."""
    temperature: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """0 takes the likeliest token; above 0 samples."""
    seed: Seed = 0
    """Seed of the sampling; both texts are sampled with the same one."""
    extraction: str | None = None
    """The extraction whose largest activations the unit `max` refers to; the SAE's newest when it is not given."""

    @model_validator(mode="after")
    def _one_edit_per_feature(self) -> "SteerText":
        features = [edit.feature for edit in self.edits]
        if len(set(features)) < len(features):
            raise ValueError("one edit per feature")
        return self

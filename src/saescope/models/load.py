"""From a source (a Hugging Face id, a checkpoint folder, a .gguf file) to a LanguageModel.

Weights come from safetensors only and code from transformers only: nothing that a checkpoint brings is run.
"""

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..errors import BadSource, BadValue, NoMemory, Unreachable
from ..fingerprint import content_hash, file_hash, tokenizer_fingerprint
from ..records import Progress
from .allocator import give_back_memory, keep_freed_memory
from .checkpoint import Checkpoint
from .faster import make_faster
from .gguf_file import check_gguf, convert_gguf, is_gguf
from .hookpoints import find_structure
from .language_model import LanguageModel
from .quantize import check_quantize, quantize_layers
from .quiet import in_one_line, quiet

_HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?)(?:@([\w./-]+))?")
"""A Hugging Face id, with the revision to take behind an @ where one is named."""
_HUB_FILES = ("model*.safetensors", "*.json", "*.model", "*.txt", "*.jinja")
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_OFFLINE = "a local checkpoint folder or a .gguf file works offline"


def load_model(
    source: str | Path,
    *,
    dtype: str = "auto",
    quantize: str = "none",
    device: str | torch.device | None = None,
    faster: bool = True,
    progress: Callable[[Progress], None] | None = None,
) -> LanguageModel:
    """Load a language model for reading and editing, with its tokenizer.

    `dtype` auto is float32 on a CPU, the checkpoint's own on CUDA; `device` None is CUDA where there is one.
    `faster` puts quicker stand-ins in its layers (see `faster.py`); without, every module is transformers' own.
    BadSource, NotFound or Unreachable where the source cannot be read, BadValue where it cannot be quantized.
    """
    place = _device(device)
    check_quantize(quantize, place)
    if dtype != "auto" and dtype not in _DTYPES:
        raise BadValue(f"dtype: {dtype!r} is not known", f"use auto, {', '.join(_DTYPES)}")
    keep_freed_memory()
    path = Path(os.path.expanduser(source))
    if is_gguf(path):
        check_gguf(path)
        with tempfile.TemporaryDirectory() as draft:
            convert_gguf(path, Path(draft), progress)
            return _load(Checkpoint.open(Path(draft)), file_hash(path), dtype, quantize, place, faster, progress)
    checkpoint = Checkpoint.open(find_folder(source, progress))
    return _load(checkpoint, checkpoint.fingerprint(), dtype, quantize, place, faster, progress)


def find_folder(source: str | Path, progress: Callable[[Progress], None] | None = None) -> Path:
    """The local folder of a source that is a folder or a Hugging Face id; fetched first where it must be."""
    path = Path(os.path.expanduser(source))
    name = str(source).removeprefix("hf:")
    if path.is_dir():
        return path
    if path.exists():
        raise BadSource(
            f"{str(path)!r} is a file, not a model folder",
            "give a checkpoint folder, a .gguf file or a Hugging Face id",
        )
    hub_id = _HUB_ID.fullmatch(name)
    if hub_id is None:
        raise BadSource(f"there is no model folder {str(path)!r}", "check the path, or give a Hugging Face id")
    from ..hub import snapshot

    try:
        return snapshot(hub_id[1], repo_type="model", patterns=list(_HUB_FILES), revision=hub_id[2], progress=progress)
    except Unreachable as error:
        raise Unreachable(
            f"there is no folder {str(path)!r}, and as a Hugging Face id: {error.message}", _OFFLINE
        ) from error


def _load(
    checkpoint: Checkpoint,
    weights: str,
    dtype: str,
    quantize: str,
    device: torch.device,
    faster: bool,
    progress: Callable[[Progress], None] | None,
) -> LanguageModel:
    if progress:
        progress(Progress("load model", 0, 1, "steps"))
    kind = _dtype(dtype, checkpoint.config, device)
    config = _config(checkpoint)
    tokenizer = _tokenizer(checkpoint.folder, config)
    try:
        model = _model(checkpoint.folder, config, kind)
        structure = find_structure(model)
        replaced = quantize_layers(structure.layers, quantize) if quantize != "none" else 0
        if faster and device.type == "cpu":
            replaced += make_faster(structure.layers, structure.d_model)
        if replaced:
            for parameter in model.parameters():  # one tensor left on the mapped file would keep all of it
                parameter.data = parameter.data.clone()
            give_back_memory()
        model.to(device)
    except (torch.OutOfMemoryError, MemoryError):
        raise NoMemory(
            f"not enough memory for the model on {device}", "use --quantize int8 or a smaller model"
        ) from None
    parts = (weights, str(kind), quantize, tokenizer_fingerprint(tokenizer))
    loaded = LanguageModel(model, tokenizer, fingerprint=content_hash(*parts), quantize=quantize)
    if progress:
        progress(Progress("load model", 1, 1, "steps"))
    return loaded


def _config(checkpoint: Checkpoint) -> Any:
    """The configuration as an object of transformers, made of the values looked at, not of the file."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    family = str(checkpoint.config.get("model_type"))
    if family not in CONFIG_MAPPING:
        raise BadSource(
            f"model type {family!r} in {str(checkpoint.folder)!r} is not one that transformers knows",
            "give a language model of a known type (llama, mistral, qwen2, gemma2, gpt2, …)",
        )
    try:
        with quiet():
            return CONFIG_MAPPING[family].from_dict(checkpoint.config)
    except Exception as error:  # a configuration can be wrong in as many ways as there are families
        raise BadSource(
            f"{str(checkpoint.folder / 'config.json')!r} is not right: {in_one_line(error)}",
            "get the file again",
        ) from error


def _model(folder: Path, config: Any, dtype: torch.dtype) -> Any:
    """The model, every tensor of it from the checkpoint, by a class that transformers itself has."""
    from transformers import AutoModelForCausalLM

    try:
        with quiet():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                str(folder),
                config=config,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
            model, report = loaded
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # so can weights that do not fit it
        raise BadSource(
            f"the model in {str(folder)!r} cannot be loaded: {in_one_line(error)}",
            "check that config.json and the weights belong together",
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:  # transformers would fill them with random numbers
        raise BadSource(
            f"the weights in {str(folder)!r} are not this {config.model_type} model's: "
            f"{len(missing)} tensors are missing, such as {missing[0]!r}",
            "check that config.json and the weights belong together",
        )
    return model


def _tokenizer(folder: Path, config: Any) -> Any:
    from transformers import AutoTokenizer

    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(
                str(folder), config=config, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # each tokenizer class fails in its own way
        raise BadSource(
            f"the tokenizer in {str(folder)!r} cannot be read: {in_one_line(error)}",
            "copy its tokenizer.json again",
        ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise BadSource(f"the tokenizer in {str(folder)!r} has no fast form", "add its tokenizer.json")
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id >= _rows(config):
        tokenizer.pad_token = tokenizer.eos_token  # padding is fed to the model too
    return tokenizer


def _rows(config: Any) -> int:
    """Rows of the token embedding."""
    return int(config.get_text_config().vocab_size)


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except RuntimeError:
        raise BadValue(f"device: {device!r} is not known", "use cpu or cuda") from None
    if place.type == "cuda" and not torch.cuda.is_available():
        raise BadValue(f"device: {str(place)!r} is not there", "use cpu, or install a CUDA build of torch")
    return place


def _dtype(dtype: str, config: dict[str, Any], device: torch.device) -> torch.dtype:
    if dtype != "auto":
        return _DTYPES[dtype]
    if device.type == "cpu":
        return torch.float32
    text = config.get("text_config") or {}
    own = config.get("dtype") or config.get("torch_dtype") or text.get("dtype") or text.get("torch_dtype")
    return _DTYPES.get(str(own), torch.float32)

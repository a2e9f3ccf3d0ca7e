"""A .gguf file, turned once into an ordinary checkpoint folder: reading one takes seconds each time."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import BadSource, StudioError
from ..records import Progress
from .quiet import in_one_line, quiet

_SPACE_ERRORS = (28, 122, 27)


def is_gguf(path: Path) -> bool:
    """Whether a path is meant as a .gguf file."""
    return path.suffix.lower() == ".gguf"


def check_gguf(path: Path) -> None:
    """BadSource where a file is not there or does not begin as GGUF does."""
    if not path.is_file():
        raise BadSource(f"there is no file {str(path)!r}", "check the path")
    with open(path, "rb") as file:
        magic = file.read(4)
    if magic != b"GGUF":
        raise BadSource(f"{str(path)!r} is not a GGUF file: it begins with {magic!r}", "give a .gguf checkpoint")


def convert_gguf(path: Path, folder: Path, progress: Callable[[Progress], None] | None = None) -> None:
    """Write the model (float32) and tokenizer of a .gguf file into a folder, as safetensors and JSON.

    BadSource where the file is no GGUF, is cut short, or holds a model that transformers cannot read.
    """
    path, folder = Path(path).resolve(), Path(folder)
    check_gguf(path)
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # releases that can keep GGUF blocks packed fetch kernels for them from the hub; plain tensors need none
    packing = getattr(transformers, "GgufConfig", None)
    plain = {} if packing is None else {"quantization_config": packing(dequantize=True)}

    def tell(done: int) -> None:
        if progress:
            progress(Progress("convert", done, 3, "steps", path.name))

    tell(0)
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, trust_remote_code=False)
            tell(1)
            model: Any = AutoModelForCausalLM.from_pretrained(
                path.parent,
                gguf_file=path.name,
                dtype="float32",
                attn_implementation="eager",  # for the time of converting; it is not kept
                trust_remote_code=False,
                **plain,
            )
            tell(2)
            # the tensors are ordinary floats now; these two only say where they came from
            model.hf_quantizer = None
            if hasattr(model.config, "quantization_config"):
                del model.config.quantization_config
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    except StudioError:
        raise
    except OSError as error:
        if error.errno in _SPACE_ERRORS:
            raise
        raise _unreadable(path, error) from error
    except MemoryError:
        raise
    except Exception as error:  # the reader fails in as many ways as a file can be wrong
        raise _unreadable(path, error) from error
    _drop_paths(folder / "config.json")
    tell(3)


def _unreadable(path: Path, error: Exception) -> BadSource:
    return BadSource(
        f"the GGUF file {str(path)!r} cannot be read: {in_one_line(error)}",
        "copy or download it again; if it is whole, transformers may not know its architecture",
    )


def _drop_paths(config: Path) -> None:
    """What the file was once called is nobody's business and would change the fingerprint."""
    values = json.loads(config.read_text(encoding="utf-8"))
    values.pop("_name_or_path", None)
    config.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n", encoding="utf-8")

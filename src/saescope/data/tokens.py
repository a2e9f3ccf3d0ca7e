"""Documents become rows of `context` tokens: each begins with BOS, EOS separates documents, nothing is lost.

Rows are appended to the files as they fill; memory does not depend on the number of tokens.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from ..errors import BadSource, BadValue
from ..fingerprint import content_hash, tokenizer_fingerprint
from ..home import no_space
from ..records import Progress
from .documents import documents_summary, read_documents
from .encoding import encode_documents, plain_backend
from .packing import Packer
from .token_store import TokenStore, write_store

Packing = Literal["packed", "documents"]
Report = Callable[[Progress], object]

__all__ = ["TokenStore", "token_store_key", "tokenize"]

_LAYOUT = 1  # goes up when the same request would give other rows


def token_store_key(dataset_fingerprint: str, tokenizer_fingerprint: str, context: int, packing: Packing) -> str:
    """The name of a token store: equal keys hold equal rows; 64 hexadecimal digits."""
    return content_hash("token store", _LAYOUT, dataset_fingerprint, tokenizer_fingerprint, context, packing)


def tokenize(
    documents_folder: Path,
    tokenizer: Any,
    context: int,
    out_folder: Path,
    *,
    packing: Packing = "packed",
    progress: Report | None = None,
) -> TokenStore:
    """Write the token store of a folder of documents; `packing="documents"` lets no row hold two documents.

    `tokenizer` is a transformers fast tokenizer or a `tokenizers.Tokenizer`. All cores encode (the Rust
    library's own threads). Every row begins with BOS, or EOS where there is no BOS; EOS separates documents,
    or BOS where there is no EOS. A document longer than a row goes on in the next.
    Raises BadValue (context below 2, no BOS and no EOS, a slow tokenizer), BadSource (no tokens), NoSpace.
    """
    if context < 2:
        raise BadValue(f"context: a row of {context} tokens holds no text after its BOS", "use at least 2")
    ids = special_ids(tokenizer)
    first = ids["bos_id"] if ids["bos_id"] is not None else ids["eos_id"]
    separator = ids["eos_id"] if ids["eos_id"] is not None else ids["bos_id"]
    if first is None or separator is None:
        raise BadValue("the tokenizer has neither a BOS nor an EOS token", "give the model's own tokenizer files")
    padding = ids["pad_id"] if ids["pad_id"] is not None else separator
    source = documents_summary(documents_folder)
    key = token_store_key(source.fingerprint, tokenizer_fingerprint(tokenizer), context, packing)
    try:
        with Packer(out_folder, context, first, separator, padding, apart=packing == "documents") as packer:
            for piece in encode_documents(plain_backend(tokenizer), read_documents(documents_folder)):
                packer.add(piece)
                if piece.last and progress is not None and (piece.document + 1) % 64 == 0:
                    note = f"{packer.text_tokens} tokens"
                    progress(Progress("tokenize", piece.document + 1, source.documents, "documents", note))
            packer.finish()
        if packer.text_tokens == 0:
            raise BadSource("the tokenizer makes no token of these documents", "use another dataset or model")
        write_store(
            out_folder,
            {
                "context": context,
                "packing": packing,
                "samples": packer.rows,
                "n_tokens": packer.tokens,
                "text_tokens": packer.text_tokens,
                "documents": source.documents,
                **ids,
                "pad_id": padding,
                "key": key,
                "fingerprint": packer.fingerprint,
            },
        )
    except OSError as error:
        raise no_space(error, out_folder) or error from None
    if progress is not None:
        note = f"{packer.text_tokens} tokens"
        progress(Progress("tokenize", source.documents, source.documents, "documents", note))
    return TokenStore.open(out_folder)


def special_ids(tokenizer: Any) -> dict[str, int | None]:
    """The ids of BOS, EOS and padding; those of a bare `tokenizers.Tokenizer` by their usual names."""
    if hasattr(tokenizer, "bos_token_id"):
        return {f"{name}_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    usual = {
        "bos_id": ("<bos>", "<s>", "<|begin_of_text|>", "[CLS]"),
        "eos_id": ("<eos>", "</s>", "<|endoftext|>", "<|end_of_text|>", "[SEP]"),
        "pad_id": ("<pad>", "[PAD]"),
    }
    known = ((name, map(tokenizer.token_to_id, tokens)) for name, tokens in usual.items())
    return {name: next((id for id in ids if id is not None), None) for name, ids in known}

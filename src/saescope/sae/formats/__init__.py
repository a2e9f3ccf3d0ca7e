"""Formats of other libraries: how each is recognised, read, and, where it can be, written.

To add one: a module with `read` (and `write`), a line here, and a row in docs/formats.md.
"""

from collections.abc import Callable
from pathlib import Path

from ..base import Sae
from . import dictionary_learning, gemma_scope, goodfire, llamascopium, mapping, saelens, sparsify
from .reading import Found, Heads, Reading

READERS: dict[str, Callable[[Found, Heads], Reading]] = {
    "saelens": saelens.read,
    "dictionary_learning": dictionary_learning.read,
    "sparsify": sparsify.read,
    "llamascopium": llamascopium.read,
    "llama_scope": llamascopium.read_old,
    "gemma_scope": gemma_scope.read,
    "gemma_scope_2": gemma_scope.read_2,
    "goodfire": goodfire.read,
    "mapping": mapping.read,
}

WRITERS: dict[str, Callable[[Sae, Path], None]] = {
    "saelens": saelens.write,
    "dictionary_learning": dictionary_learning.write,
    "sparsify": sparsify.write,
}

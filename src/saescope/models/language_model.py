"""A loaded language model: what it is, and reading and editing what flows through it.

It knows no SAE and no data set; tokens come in, activations go out.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..errors import BadValue, Mismatch
from ..fingerprint import tokenizer_fingerprint
from .hookpoints import Enough, attach, find_structure

SIDE_BY_SIDE = "+"
"""Joins the names of hookpoints that are read together."""

_NO_LIMIT = 2**31 - 1


class LanguageModel:
    """A causal language model with its tokenizer, ready to be read and edited; nothing of it is trained."""

    def __init__(self, model: Any, tokenizer: Any, *, fingerprint: str = "", quantize: str = "none") -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.fingerprint: str = fingerprint
        self.quantize: str = quantize
        self._structure = find_structure(model)
        self._config = getattr(self._structure.decoder, "config", model.config)
        self._check_tokenizer()
        self.tokenizer_fingerprint: str = tokenizer_fingerprint(tokenizer)

    @property
    def family(self) -> str:
        """The model's type, as transformers names it: llama, gpt2, gemma3, …"""
        return str(self.model.config.model_type)

    @property
    def layers(self) -> int:
        return len(self._structure.layers)

    @property
    def d_model(self) -> int:
        return self._structure.d_model

    @property
    def vocabulary(self) -> int:
        """Token ids the embedding has rows for."""
        return self.model.get_input_embeddings().weight.shape[0]

    @property
    def max_context(self) -> int:
        """Longest context, in tokens; very large where the model sets no limit."""
        names = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
        found = (getattr(self._config, name, None) for name in names)
        return next((int(n) for n in found if isinstance(n, int) and n > 0), _NO_LIMIT)

    @property
    def device(self) -> torch.device:
        return self.model.get_input_embeddings().weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.model.get_input_embeddings().weight.dtype

    @property
    def hookpoints(self) -> dict[str, int]:
        """Every hookpoint's canonical name and width, in the order in which a forward passes them."""
        return {name: point.width for name, point in self._structure.points.items()}

    def hookpoint(self, name: str) -> str:
        """The canonical name of a contract name, TransformerLens name or module path; BadValue otherwise.

        Several of them, joined by `+`, are one place too: their activations side by side.
        """
        return SIDE_BY_SIDE.join(self._structure.resolve(part) for part in name.split(SIDE_BY_SIDE))

    def widths(self, hookpoint: str) -> tuple[int, ...]:
        """Numbers at each of the hookpoints that a canonical name stands for: most often one."""
        return tuple(self._structure.points[part].width for part in hookpoint.split(SIDE_BY_SIDE))

    def check_context(self, tokens: int) -> None:
        """Mismatch where a context is longer than the model's."""
        if tokens > self.max_context:
            raise Mismatch(
                f"context of {tokens} tokens is longer than the model's {self.max_context}",
                f"use a context of at most {self.max_context} tokens",
            )

    def read(
        self, token_ids: Int[Tensor, "batch pos"], hookpoints: Sequence[str]
    ) -> dict[str, Float[Tensor, "batch pos d_in"]]:
        """The activations at hookpoints, by the names asked for; nothing after the last of them is run.

        Padding on the right needs no mask: no earlier token sees it. The tensors are the caller's own.
        """
        parts = {name: self.hookpoint(name).split(SIDE_BY_SIDE) for name in hookpoints}
        points = {part: self._structure.points[part] for found in parts.values() for part in found}
        wanted = set(points)
        seen: dict[str, Tensor] = {}
        ids = self._checked(token_ids)
        if not wanted:
            return {}

        def reader(name: str) -> Callable[[Tensor], None]:
            def keep(h: Tensor) -> None:
                # later modules may work in place; nothing runs after the last one
                seen[name] = h if len(seen) + 1 == len(wanted) else h.clone()
                if len(seen) == len(wanted):
                    raise Enough

            return keep

        with contextlib.ExitStack() as stack:
            for point in points.values():
                for handle in attach(point, reader(point.name)):
                    stack.callback(handle.remove)
            stack.enter_context(contextlib.suppress(Enough))
            stack.enter_context(torch.inference_mode())
            self._structure.decoder(input_ids=ids, use_cache=False)
        if missed := wanted - seen.keys():
            raise RuntimeError(f"a forward never passed {sorted(missed)}")
        # a copy made outside inference mode is an ordinary tensor: an SAE can be trained on it
        own = {name: seen.pop(name).clone() for name in list(seen)}
        return {
            name: own[found[0]] if len(found) == 1 else torch.cat([own[part] for part in found], -1)
            for name, found in parts.items()
        }

    @contextlib.contextmanager
    def editing(
        self,
        hookpoint: str,
        fn: Callable[[Float[Tensor, "batch pos d_in"]], Float[Tensor, "batch pos d_in"]],
    ) -> Iterator[None]:
        """Within the block, `fn(h)` replaces the activation at a hookpoint, in any forward or generation.

        Under a KV cache `fn` is given the new positions only. Blocks may be nested; edits at one hookpoint
        act in the order in which their blocks were entered.
        """
        name = self.hookpoint(hookpoint)
        if SIDE_BY_SIDE in name:
            raise BadValue(f"{name} is several places, and one is edited at a time", "name one of them")
        point = self._structure.points[name]

        def edit(h: Tensor) -> Tensor:
            new = fn(h)
            if new.shape != h.shape:
                raise Mismatch(f"an edit at {point.name} made {tuple(new.shape)} of {tuple(h.shape)}", "keep the shape")
            return new.to(h.dtype)

        handles = attach(point, edit)
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @torch.no_grad()
    def logits(self, token_ids: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos vocab"]:
        """The model's predictions at every position, in its own dtype."""
        return self.model(input_ids=self._checked(token_ids), use_cache=False).logits

    def unembedding(self) -> tuple[Float[Tensor, "vocab d_model"], nn.Module | None]:
        """The vocabulary head's weights over the residual stream, and the final norm where there is one."""
        decoder = self._structure.decoder
        weight = self.model.get_output_embeddings().weight.detach()
        projection = getattr(decoder, "project_out", None)
        if projection is not None:  # OPT-350m: the head reads a narrower space
            weight = weight @ projection.weight.detach()
        children = list(decoder.children())
        after = children[children.index(self._structure.layers) + 1 :]
        named = (c for c in children if "norm" in type(c).__name__.lower())
        norms = [c for c in after if "norm" in type(c).__name__.lower()] or list(named)
        return weight, (norms[-1] if norms else None)

    def _checked(self, token_ids: Tensor) -> Tensor:
        """Ids on the model's device; Mismatch where they are not of its vocabulary or too many."""
        self.check_context(token_ids.shape[1])
        if token_ids.numel() and int(token_ids.max()) >= self.vocabulary:
            raise Mismatch(
                f"token id {int(token_ids.max())} is outside the model's vocabulary of {self.vocabulary}",
                "the tokens were made with another model's tokenizer; tokenize again with this model's",
            )
        return token_ids.to(self.device, torch.int64)

    def _check_tokenizer(self) -> None:
        added = set(self.tokenizer.get_added_vocab())
        largest = max((i for token, i in self.tokenizer.get_vocab().items() if token not in added), default=0)
        special = [i for i in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id) if i is not None]
        largest = max(largest, *special) if special else largest
        if largest >= self.vocabulary:
            raise Mismatch(
                f"the tokenizer has token ids up to {largest}, the model's vocabulary has {self.vocabulary}",
                "put the tokenizer that belongs to the model beside its weights",
            )

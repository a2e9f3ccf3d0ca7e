"""Where a language model can be read and edited, found by its structure and one short probe.

The token embedding's parent is the decoder; its longest list of modules are the layers. Inside a layer,
`attn_out` and `mlp_out` are the two outputs that, added to what entered, give what leaves: the probe runs one
layer on four tokens and takes the pair of modules for which that holds. So a norm after the sublayer (Gemma),
parallel sublayers (GPT-NeoX, Phi) and tuples or plain tensors as outputs need no list of classes. `mlp_in`, where
transcoders read, is what the layer's one MLP module is given: behind the norm, its gain included.
"""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..errors import BadSource, BadValue

_ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
_MLP = re.compile(r"mlp|feed_?forward|ffn|moe|^fc2$", re.IGNORECASE)
_NORM = re.compile(r"norm|^ln", re.IGNORECASE)
_NEITHER = re.compile(r"norm|^ln|dropout|^fc1$", re.IGNORECASE)
_TRANSFORMER_LENS = re.compile(r"blocks\.(\d+)\.hook_(resid_pre|resid_post|attn_out|mlp_out)")
_OURS = re.compile(r"layers\.(\d+)\.(resid_pre|resid_post|attn_out|mlp_in|mlp_out)")

Reader = Callable[[Tensor], Tensor | None]


class Enough(Exception):
    """Everything needed has been read; it leaves the forward there. Never seen outside this room."""


@dataclass(frozen=True)
class Hookpoint:
    """One place: the input or the output of one module."""

    name: str
    module: nn.Module
    side: Literal["input", "output"]
    width: int
    layer: nn.Module | None = None
    """The layer it is in: its input has the batch and position axes that some modules flatten (OPT)."""


@dataclass(frozen=True)
class Structure:
    """What was found in a model."""

    decoder: nn.Module
    layers: nn.ModuleList
    d_model: int
    points: dict[str, Hookpoint]
    aliases: dict[str, str]
    """Module path -> canonical name."""

    def resolve(self, name: str) -> str:
        """The canonical name of a contract name, TransformerLens name or module path; BadValue otherwise."""
        if name in self.points:
            return name
        if name == "hook_embed":
            return "embed"
        found = _TRANSFORMER_LENS.fullmatch(name)
        canonical = f"layers.{int(found[1])}.{found[2]}" if found else self.aliases.get(name, name)
        if canonical in self.points:
            return canonical
        raise BadValue(self._what_is_wrong(name, canonical), f"known: {self.known()}")

    def _what_is_wrong(self, name: str, canonical: str) -> str:
        ours = _OURS.fullmatch(canonical)
        if ours and int(ours[1]) >= len(self.layers):
            return f"hookpoint {name!r}: the model has layers 0 to {len(self.layers) - 1}, not {int(ours[1])}"
        return f"unknown hookpoint {name!r}"

    def known(self) -> str:
        """All hookpoints, in one short line."""
        kinds = sorted({name.rpartition(".")[2] for name in self.points if name != "embed"})
        return f"embed, layers.N.{{{','.join(kinds)}}} with N from 0 to {len(self.layers) - 1}"


def attach(point: Hookpoint, reader: Reader) -> list[RemovableHandle]:
    """Hand every activation [batch pos width] at a hookpoint to `reader`; a tensor it returns replaces it.

    Of forwards in this thread alone: a text may be fired while an extraction runs the same model in another.
    """
    mine = threading.get_ident()
    if point.side == "input":

        def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if threading.get_ident() != mine:
                return None
            new = reader(args[0] if args else kwargs["hidden_states"])
            if new is None:
                return None
            return ((new, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": new})

        return [point.module.register_forward_pre_hook(before, with_kwargs=True)]

    axes: list[tuple[int, ...]] = []

    def entering(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if threading.get_ident() == mine:
            axes[:] = [(args[0] if args else kwargs["hidden_states"]).shape[:2]]

    def after(module: nn.Module, args: Any, output: Any) -> Any:
        if threading.get_ident() != mine:
            return None
        h = _first(output)
        new = reader(h if h.dim() == 3 else h.unflatten(0, axes[0]))
        if new is None:
            return None
        new = new.reshape(h.shape)
        return (new, *output[1:]) if isinstance(output, tuple) else new

    handles = [point.module.register_forward_hook(after)]
    if point.layer is not None and point.layer is not point.module:
        handles.append(point.layer.register_forward_pre_hook(entering, with_kwargs=True))
    return handles


def find_structure(model: nn.Module) -> Structure:
    """Find the decoder, its layers and every hookpoint; BadSource where there is no stack of layers."""
    embedding = model.get_input_embeddings()  # type: ignore[operator]
    parents = (m for m in model.modules() if any(c is embedding for c in m.children()))
    decoder = next(parents, None)
    lists = [c for c in decoder.children() if isinstance(c, nn.ModuleList)] if decoder is not None else []
    if decoder is None or not lists:
        raise BadSource(
            f"{type(model).__name__} has no stack of layers beside its token embedding",
            "give a decoder-only language model (Llama, Mistral, Qwen, Gemma, GPT-2, GPT-NeoX, Phi, OPT, …)",
        )
    layers = max(lists, key=len)
    seen = _probe(decoder, embedding, layers[0])
    d_model = seen.leaving.shape[-1]
    points = {"embed": Hookpoint("embed", embedding, "output", seen.embedded.shape[-1])}
    found = {**_sublayers(seen), "mlp_in": _mlp(seen)}
    names = {kind: found[kind] for kind in ("attn_out", "mlp_in", "mlp_out") if kind in found}
    for n, layer in enumerate(layers):
        points[f"layers.{n}.resid_pre"] = Hookpoint(f"layers.{n}.resid_pre", layer, "input", d_model, layer)
        for kind, child in names.items():
            if child in dict(layer.named_children()):
                module = layer.get_submodule(child)
                side = "input" if kind == "mlp_in" else "output"
                points[f"layers.{n}.{kind}"] = Hookpoint(f"layers.{n}.{kind}", module, side, d_model, layer)
        points[f"layers.{n}.resid_post"] = Hookpoint(f"layers.{n}.resid_post", layer, "output", d_model, layer)
    return Structure(decoder, layers, d_model, points, _aliases(model, decoder, points))


@dataclass
class _Seen:
    """What the probe saw of one layer: entering, leaving, and every child's input and output."""

    embedded: Tensor
    entering: Tensor
    leaving: Tensor
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


def _probe(decoder: nn.Module, embedding: nn.Module, layer: nn.Module) -> _Seen:
    embedded, entering, leaving = [], [], []
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}
    handles: list[RemovableHandle] = []

    def watch(name: str, child: nn.Module) -> None:
        def hook(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            given = args[0] if args else kwargs.get("hidden_states")
            for store, value in ((inputs, given), (outputs, _first(output))):
                if isinstance(value, Tensor) and value.numel() == entering[0].numel():
                    store[name] = value.reshape(entering[0].shape).float().clone()

        handles.append(child.register_forward_hook(hook, with_kwargs=True))

    def keep(store: list[Tensor]) -> Reader:
        return lambda h: store.append(h.float().clone())

    def stop(h: Tensor) -> None:
        leaving.append(h.float())
        raise Enough

    try:
        handles += attach(Hookpoint("", embedding, "output", 0), keep(embedded))
        handles += attach(Hookpoint("", layer, "input", 0, layer), keep(entering))
        for name, child in layer.named_children():
            watch(name, child)
        handles += attach(Hookpoint("", layer, "output", 0, layer), stop)
        ids = torch.arange(1, 5, device=embedding.weight.device)[None] % embedding.num_embeddings  # type: ignore
        with torch.no_grad():
            decoder(input_ids=ids, use_cache=False)
    except Enough:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return _Seen(embedded[0], entering[0], leaving[0], inputs, outputs)


def _sublayers(seen: _Seen) -> dict[str, str]:
    """The children whose outputs are added to the residual stream, by the identity they satisfy; or none."""
    norms = [name for name in seen.outputs if _NORM.search(name)]
    attentions = [n for n in seen.outputs if _ATTENTION.search(n) and not _NEITHER.search(n)] + norms
    mlps = [n for n in seen.outputs if _MLP.search(n) and not _NEITHER.search(n)] + norms
    tolerance = 1e-3 * (seen.leaving - seen.entering).abs().max() + 4e-3 * _rounding(seen)
    best = min(
        (
            ((seen.entering + seen.outputs[a] + seen.outputs[m] - seen.leaving).abs().max().item(), a, m)
            for a in attentions
            for m in mlps
            if a != m
        ),
        default=None,
        key=lambda found: found[0],
    )
    if best is not None and best[0] <= tolerance:
        return {"attn_out": best[1], "mlp_out": best[2]}
    # normed after each sum (OPT-350m): what is added shows in what the norms take in
    for a in attentions:
        for m in mlps:
            after_attention = any(_same(seen.entering + seen.outputs[a], seen.inputs[n], tolerance) for n in norms)
            after_mlp = any(
                _same(seen.outputs[n] + seen.outputs[m], seen.inputs[last], tolerance)
                for n in norms
                for last in norms
                if _same(seen.outputs[last], seen.leaving, tolerance)
            )
            if a != m and after_attention and after_mlp:
                return {"attn_out": a, "mlp_out": m}
    return {}


def _mlp(seen: _Seen) -> str:
    """The one child that is an MLP as a whole, given rows of the residual's width; empty where there is none."""
    found = [name for name in seen.inputs if _MLP.search(name) and not _NEITHER.search(name) and name != "fc2"]
    return found[0] if len(found) == 1 else ""


def _rounding(seen: _Seen) -> Tensor:
    """What sums of half-precision activations may be off by; nothing in float32."""
    halves = (torch.equal(t, t.half().float()) or torch.equal(t, t.bfloat16().float()) for t in (seen.leaving,))
    return seen.leaving.abs().max() if any(halves) else torch.zeros(())


def _same(a: Tensor, b: Tensor, tolerance: Tensor) -> bool:
    return bool((a - b).abs().max() <= tolerance)


def _aliases(model: nn.Module, decoder: nn.Module, points: dict[str, Hookpoint]) -> dict[str, str]:
    """Module paths, from the model and from its decoder, of everything that is read at its output."""
    by_module = {id(point.module): point.name for point in points.values() if point.side == "output"}
    return {
        path: by_module[id(module)]
        for root in (decoder, model)
        for path, module in root.named_modules()
        if id(module) in by_module
    }


def _first(output: Any) -> Any:
    """Layers return tensors or tuples, depending on the family and the release of transformers."""
    return output[0] if isinstance(output, tuple) else output

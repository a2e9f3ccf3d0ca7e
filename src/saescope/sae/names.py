"""Hookpoints in the words of TransformerLens, which SAELens files use."""

import re

_BLOCK = {
    "resid_pre": "hook_resid_pre",
    "resid_post": "hook_resid_post",
    "mlp_out": "hook_mlp_out",
    "attn_out": "hook_attn_out",
}
_SITE = {theirs: ours for ours, theirs in _BLOCK.items()}


def transformer_lens_name(hookpoint: str) -> str:
    """`layers.8.resid_post` as `blocks.8.hook_resid_post`; a name of another form is left as it is."""
    if hookpoint == "embed":
        return "hook_embed"
    match = re.fullmatch(r"layers\.(\d+)\.(\w+)", hookpoint)
    if match and match[2] in _BLOCK:
        return f"blocks.{match[1]}.{_BLOCK[match[2]]}"
    return hookpoint


def hookpoint_name(hook_name: str) -> str:
    """`blocks.8.hook_resid_post` as `layers.8.resid_post`; a name of another form is left as it is."""
    if hook_name == "hook_embed":
        return "embed"
    match = re.fullmatch(r"blocks\.(\d+)\.(\w+)", hook_name)
    if match and match[2] in _SITE:
        return f"layers.{match[1]}.{_SITE[match[2]]}"
    return hook_name

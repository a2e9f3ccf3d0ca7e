"""saescope: an end-to-end interpretability studio for language models, built on sparse autoencoders.

`import saescope` loads neither torch nor a database driver: the studio and the specs come when asked for.
"""

from typing import TYPE_CHECKING, Any

from .version import VERSION

if TYPE_CHECKING:
    from .specs import (
        AddDataset,
        AddModel,
        AddSae,
        CheckSae,
        Edit,
        ExtractFeatures,
        FireText,
        LabelFeatures,
        ShowPrompt,
        SteerText,
        TrainSae,
        TrainSaes,
    )
    from .studio import open_studio as open

__version__ = VERSION

__all__ = [
    "AddDataset",
    "AddModel",
    "AddSae",
    "CheckSae",
    "Edit",
    "ExtractFeatures",
    "FireText",
    "LabelFeatures",
    "ShowPrompt",
    "SteerText",
    "TrainSae",
    "TrainSaes",
    "__version__",
    "open",
]


def __getattr__(name: str) -> Any:
    if name == "open":
        from .studio import open_studio

        return open_studio
    if name in __all__:
        from . import specs

        return getattr(specs, name)
    raise AttributeError(f"module 'saescope' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

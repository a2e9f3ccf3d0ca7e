"""Labels: text in, text out. Nothing here knows tensors, files or a database."""

from .evidence import ExampleText, FeatureText
from .lexical import describe
from .selection import parse_features
from .words import count_words

__all__ = ["ExampleText", "FeatureText", "count_words", "describe", "parse_features"]

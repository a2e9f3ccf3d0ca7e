"""Text that both databases take."""


def storable(text: str) -> str:
    """Without NUL, which PostgreSQL refuses, and without half a surrogate pair, which neither takes."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")

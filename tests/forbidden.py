"""Nothing under src/ may run what a file brings with it.

    python tests/forbidden.py src

Finds, by the syntax tree and not by words in comments: imports of what unpickles; torch.load and its like; eval, exec
and compile; yaml.load and other loaders that are not safe; numpy arrays of objects; remote code that is trusted.
Prints one line for each; exit 1 where there is any.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "pickletools", "runpy"}
CALLS = {
    "torch.load", "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter", "pandas.read_pickle",
    "pd.read_pickle", "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.unsafe_load_all", "yaml.full_load",
    "yaml.full_load_all", "os.system", "importlib.util.spec_from_file_location", "load_dictionary",
}  # fmt: skip
NAMES = {"eval", "exec", "compile", "__import__", "execfile"}
FROM = {("torch", "load"), ("yaml", "load"), ("yaml", "unsafe_load"), ("yaml", "full_load"), ("os", "system")}
MUST_BE_FALSE = {"trust_remote_code", "allow_pickle"}


def forbidden(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of everything that is forbidden in a module's text."""
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Import(names=names):
                yield from ((line, f"import {each.name}") for each in names if each.name.split(".")[0] in MODULES)
            case ast.ImportFrom(module=str(module), names=names):
                for each in names:
                    if module.split(".")[0] in MODULES or (module, each.name) in FROM:
                        yield line, f"from {module} import {each.name}"
            case ast.Attribute() if _dotted(node) in CALLS:
                yield line, _dotted(node)
            case ast.Name(id=name) if name in NAMES:
                yield line, name
            case ast.Call(keywords=keywords):
                yield from ((line, f"{k.arg}=…") for k in keywords if k.arg in MUST_BE_FALSE and not _is_false(k.value))
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and key.value in MUST_BE_FALSE and not _is_false(value):
                        yield line, f"{key.value!r}: …"


def _dotted(node: ast.expr) -> str:
    """`torch.load` of an attribute of a name; a part of it where it hangs on something else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join(reversed([*parts, node.id])) if isinstance(node, ast.Name) else ""


def _is_false(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is False


def main(root: Path) -> int:
    found = [
        f"{path}:{line}: {what} would run what a file brings with it"
        for path in sorted(root.rglob("*.py"))
        for line, what in forbidden(path.read_text(encoding="utf-8"))
    ]
    print("\n".join(found) or f"nothing under {root}/ unpickles, evaluates or trusts code")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

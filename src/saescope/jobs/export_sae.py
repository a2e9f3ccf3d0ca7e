"""`sae export`: an SAE as another library's files."""

import os
import secrets
import shutil
from pathlib import Path
from typing import Any

from ..errors import BadValue, NameTaken
from ..home import no_space, sync_folder, sync_tree
from ..sae.files import EXPORTS, export_sae
from .context import Context


def run(name: str, folder: Path, format: str, context: Context) -> dict[str, Any]:
    """Write the folder beside its place and rename it; an existing one is left alone."""
    if format not in EXPORTS:
        raise BadValue(f"unknown format {format!r}", f"formats: {', '.join(EXPORTS)}")
    record, sae = context.sae(name)
    folder = Path(os.path.expanduser(folder)).absolute()
    if folder.exists():
        raise NameTaken(f"{str(folder)!r} is already there", "give a folder that does not exist yet")
    draft = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        draft.mkdir(parents=True)
        export_sae(sae, draft, format)
        sync_tree(draft)
        os.rename(draft, folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise no_space(error, folder.parent) or error from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return {"sae": record.name, "folder": str(folder), "format": format}

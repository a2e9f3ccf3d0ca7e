"""Files of a Hugging Face hub, fetched whole into the hub's own cache; every failure becomes one clear line.

HF_ENDPOINT, HF_HOME, HF_HUB_CACHE and HF_HUB_OFFLINE mean what they mean to huggingface_hub, but are read at
each call. What was fetched once is found again without a network.
"""

import contextlib
import hashlib
import io
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

from .errors import BadSource, NotFound, StudioError, Unreachable
from .home import no_space, only_owner
from .records import Progress

RepoType = Literal["model", "dataset"]
Report = Callable[[Progress], object]

_OFFLINE = {
    "model": "what works offline: a checkpoint folder or .gguf file on this machine, one fetched before",
    "dataset": "what works offline: .txt .jsonl .csv .parquet files on this machine, one fetched before",
}


@dataclass(frozen=True)
class Listing:
    """What a repository holds at one commit."""

    repo_id: str
    repo_type: RepoType
    commit: str
    files: tuple[str, ...]
    sums: Mapping[str, "Sum"] = field(default_factory=dict)
    """What the hub says of each file."""


@dataclass(frozen=True)
class Sum:
    """A file's length and hash, as a hub lists them."""

    size: int
    git: str
    """The hash of the git blob: of the file itself, or of the pointer that stands for it where LFS keeps it."""


def snapshot(
    repo_id: str,
    *,
    repo_type: RepoType = "model",
    patterns: Sequence[str] | None = None,
    revision: str | None = None,
    progress: Report | None = None,
) -> Path:
    """Fetch a repository's files that match any of the patterns (all by default) and return their folder.

    Raises NotFound (no such repository or revision), BadSource (gated, no match), Unreachable, NoSpace.
    """
    import huggingface_hub

    with _explained(repo_id, repo_type):
        folder = huggingface_hub.snapshot_download(
            repo_id,
            repo_type=repo_type,
            revision=revision,
            allow_patterns=list(patterns) if patterns is not None else None,
            endpoint=_endpoint(),
            cache_dir=_cache_folder(),
            local_files_only=_offline(),
            tqdm_class=_bar(progress, repo_id),
        )
    if patterns is not None and not any(any(Path(folder).glob(pattern)) for pattern in patterns):
        raise BadSource(
            f"{repo_type} {repo_id!r} on the hub holds no file that matches {' '.join(patterns)}",
            f"look at its files on {_endpoint()}",
        )
    return Path(folder)


def list_files(repo_id: str, *, repo_type: RepoType = "model", revision: str | None = None) -> Listing:
    """What a repository holds now, or held when it was last fetched and the hub is out of reach."""
    import huggingface_hub

    with _explained(repo_id, repo_type):
        # A download of (nearly) nothing resolves the branch to a commit and keeps the listing for later.
        folder = huggingface_hub.snapshot_download(
            repo_id,
            repo_type=repo_type,
            revision=revision,
            allow_patterns=["README.md"],
            endpoint=_endpoint(),
            cache_dir=_cache_folder(),
            local_files_only=_offline(),
            tqdm_class=_bar(None, repo_id),
        )
        commit = Path(folder).name
        files = huggingface_hub.get_cached_repo_tree(
            repo_id, repo_type=repo_type, revision=commit, cache_dir=_cache_folder()
        )
    sums = {file.path: Sum(file.size, file.blob_id) for file in files}
    return Listing(repo_id, repo_type, commit, tuple(sorted(sums)), sums)


def fetch_checked(listing: Listing, file: str, *, progress: Report | None = None) -> Path:
    """`fetch` for large files: a download that was cut, in this run or an earlier one, goes on where it ended, and what
    arrived must have the length and the hash that the hub lists. Raises BadSource where it has not; then nothing of
    it is kept.
    """
    wanted = listing.sums.get(file)
    if not _offline() and wanted is not None:
        _fill_cache(listing, file, wanted, progress)
    path = fetch(listing, file, progress=progress)
    if wanted is not None and (wrong := _what_is_wrong(path, wanted)):
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise _damaged(listing, file, wrong)
    return path


def _fill_cache(listing: Listing, file: str, wanted: Sum, progress: Report | None) -> None:
    """Put a file's content where the hub's own cache looks for it, by way of a part that outlives a cut."""
    from huggingface_hub import file_download as hub

    with _explained(listing.repo_id, listing.repo_type):
        url = hub.hf_hub_url(
            listing.repo_id, file, repo_type=listing.repo_type, revision=listing.commit, endpoint=_endpoint()
        )
        metadata = hub.get_hf_file_metadata(url, endpoint=_endpoint())
        name = hub.repo_folder_name(repo_id=listing.repo_id, repo_type=listing.repo_type)
        blobs = Path(_cache_folder() or hub.constants.HF_HUB_CACHE) / name / "blobs"
        if not re.fullmatch("[0-9a-f]{16,128}", metadata.etag or ""):
            return
        blob, part = blobs / str(metadata.etag), blobs / f"{metadata.etag}.part"
        if blob.exists():
            return
        blobs.mkdir(parents=True, exist_ok=True)
        with only_owner(blobs / f"{metadata.etag}.part.lock") as alone:
            if not alone:  # another process fetches it; the hub's own way of sharing takes over
                return
            _download(url, part, wanted.size, _bar(progress, file))
            if wrong := _what_is_wrong(part, wanted):
                part.unlink()
                raise _damaged(listing, file, wrong)
            part.replace(blob)


def _download(url: str, part: Path, size: int, bar: Any) -> None:
    """Fetch what is missing of a file."""
    from huggingface_hub import file_download as hub
    from huggingface_hub.utils import build_hf_headers

    with open(part, "r+b" if part.exists() else "w+b") as handle:
        have = handle.seek(0, os.SEEK_END)
        if have > size:
            have = 0
            handle.truncate(0)
            handle.seek(0)
        hub.http_get(url, handle, resume_size=have, headers=build_hf_headers(), tqdm_class=bar, expected_size=size)


def _damaged(listing: Listing, file: str, wrong: str) -> BadSource:
    return BadSource(
        f"{file!r} of {listing.repo_type} {listing.repo_id!r} did not arrive as it is on the hub: {wrong}",
        "try again; if it happens again, the repository or what is between you and it is damaged",
    )


def _what_is_wrong(path: Path, wanted: Sum) -> str:
    """What is wrong with a file's length or hash; empty where nothing is."""
    size = path.stat().st_size
    return f"it has {size} bytes, and {wanted.size} are listed" if size != wanted.size else _wrong_hash(path, wanted)


def _wrong_hash(path: Path, wanted: Sum) -> str:
    """What is wrong with a file's hash; empty where nothing is.

    A pointer is a text of a fixed form around the file's SHA-256, so its hash vouches for the file's.
    """
    plain, sha256 = hashlib.sha1(f"blob {wanted.size}\0".encode()), hashlib.sha256()
    with open(path, "rb") as handle:
        while chunk := handle.read(1 << 20):
            plain.update(chunk)
            sha256.update(chunk)
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256.hexdigest()}\nsize {wanted.size}\n"
    stands_for = hashlib.sha1(f"blob {len(pointer)}\0{pointer}".encode())
    if wanted.git in (plain.hexdigest(), stands_for.hexdigest()):
        return ""
    return f"its hash (SHA-256 {sha256.hexdigest()[:12]}…) is not the one that is listed"


def fetch(listing: Listing, file: str, *, progress: Report | None = None) -> Path:
    """Fetch one file of a listed repository; returns where it lies."""
    import huggingface_hub

    with _explained(listing.repo_id, listing.repo_type):
        path = huggingface_hub.hf_hub_download(
            listing.repo_id,
            file,
            repo_type=listing.repo_type,
            revision=listing.commit,
            endpoint=_endpoint(),
            cache_dir=_cache_folder(),
            local_files_only=_offline(),
            tqdm_class=_bar(progress, file),
        )
    return Path(path)


def open_file(listing: Listing, file: str) -> BinaryIO:
    """Open one file of a listed repository where it is: only what is read travels, and nothing is kept."""
    import huggingface_hub

    with _explained(listing.repo_id, listing.repo_type):
        if _offline():
            return open(fetch(listing, file), "rb")
        files = huggingface_hub.HfFileSystem(endpoint=_endpoint(), skip_instance_cache=True)
        handle = files.open(f"{listing.repo_type}s/{listing.repo_id}@{listing.commit}/{file}", "rb")
        return io.BufferedReader(_Remote(handle, listing), buffer_size=1 << 20)


class _Remote(io.RawIOBase):
    """A file on a hub, every failure of which is one of our errors."""

    def __init__(self, handle: Any, listing: Listing) -> None:
        self._handle, self._listing = handle, listing

    def readinto(self, buffer: Any, /) -> int:
        with _explained(self._listing.repo_id, self._listing.repo_type):
            data = self._handle.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._handle.seek(offset, whence)

    def tell(self) -> int:
        return self._handle.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


@contextlib.contextmanager
def _explained(repo_id: str, repo_type: RepoType) -> Iterator[None]:
    """Turn what huggingface_hub raises into our errors, and keep its own remarks off the terminal."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    except StudioError:
        raise
    except Exception as error:
        explained = _explain(error, repo_id, repo_type)
        if explained is None:
            raise
        raise explained from None
    finally:
        logger.setLevel(level)


def _explain(error: Exception, repo_id: str, repo_type: RepoType) -> StudioError | None:
    from huggingface_hub import errors as hub

    what, where = f"{repo_type} {repo_id!r}", _endpoint()
    if isinstance(error, hub.HFValidationError):
        return BadSource(f"{repo_id!r} is not the id of a {repo_type} on a hub", "write it as ORG/NAME")
    if isinstance(error, hub.GatedRepoError):
        hint = "accept its terms on the hub's page, then set HF_TOKEN to your token"
        return BadSource(f"{what} on the hub is gated", hint)
    if isinstance(error, hub.RepositoryNotFoundError):
        hint = "check the spelling; set HF_TOKEN if it is private"
        return NotFound(f"there is no {what} on the hub at {where}", hint)
    if isinstance(error, hub.RevisionNotFoundError):
        return NotFound(f"{what} on the hub has no such revision", "use its main branch")
    if isinstance(error, hub.LocalEntryNotFoundError | hub.OfflineModeIsEnabled):
        if _offline():
            message = f"{what} was not fetched before, and HF_HUB_OFFLINE keeps the hub at {where} out of reach"
            return Unreachable(message, _OFFLINE[repo_type])
        return _unreachable(error.__cause__ or error, repo_type)
    if "Consistency check failed" in str(error):
        lengths = str(error).strip().splitlines()[0].partition(": ")[2]
        return BadSource(f"a file of {what} did not arrive whole: {lengths[:160]}", "try again")
    if isinstance(error, hub.EntryNotFoundError):
        return NotFound(f"a file of {what} is not on the hub at {where} any more", "try again")
    if isinstance(error, hub.HfHubHTTPError) and error.response.status_code not in (429, *range(500, 600)):
        status = error.response.status_code
        return BadSource(f"the hub at {where} refused {what} with status {status}", "set HF_TOKEN to a valid token")
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, hub.HfHubHTTPError):
        folder = Path(_cache_folder() or "~/.cache/huggingface/hub")
        if no_space(error, folder):
            from .errors import NoSpace

            hint = "free some space, or set HF_HOME to another folder"
            return NoSpace(f"no space left for {what} in the hub's cache {str(folder)!r}", hint)
        if isinstance(error, PermissionError):
            hint = "set HF_HOME to a folder that you can write"
            return BadSource(f"the hub's cache {str(folder)!r} cannot be written: {error.strerror}", hint)
    if isinstance(error, OSError | RuntimeError | ValueError | KeyError | TypeError | AssertionError) or type(
        error
    ).__module__.startswith("httpx"):
        return _unreachable(error, repo_type)
    return None


def _unreachable(error: BaseException, repo_type: RepoType) -> Unreachable:
    status = getattr(getattr(error, "response", None), "status_code", None)
    reason = f"status {status}" if status else (str(error).strip().splitlines() or [type(error).__name__])[0]
    return Unreachable(f"the hub at {_endpoint()} cannot be reached ({reason[:160]})", _OFFLINE[repo_type])


def _endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def _cache_folder() -> str | None:
    """Where the hub's files are kept; None leaves it to huggingface_hub."""
    if folder := os.environ.get("HF_HUB_CACHE"):
        return folder
    home = os.environ.get("HF_HOME")
    return os.path.join(home, "hub") if home else None


def _offline() -> bool:
    flags = (os.environ.get("HF_HUB_OFFLINE"), os.environ.get("TRANSFORMERS_OFFLINE"))
    return any(flag and flag.upper() in ("1", "ON", "YES", "TRUE") for flag in flags)


def _bar(progress: Report | None, note: str) -> Any:
    """A class for huggingface_hub's progress bars that draws nothing and reports bytes."""
    from tqdm.std import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **options: Any) -> None:
            # The second bar of a snapshot ("Downloading bytes") counts the same bytes again.
            self.counts = options.get("unit") == "B" and options.get("desc") != "Downloading bytes"
            size = options.get("total")
            options.pop("name", None)
            super().__init__(*args, **{**options, "disable": True})
            self.total, self.n = size, options.get("initial", 0)

        def update(self, n: float | None = 1) -> bool | None:
            self.n += n or 0
            if self.counts and progress is not None:
                progress(Progress("fetch", self.n, self.total or None, "bytes", note))
            return None

        def refresh(self, *args: Any, **options: Any) -> Any:
            return True

        def set_description(self, *args: Any, **options: Any) -> None:
            pass

        def set_description_str(self, *args: Any, **options: Any) -> None:
            pass

        def set_postfix_str(self, *args: Any, **options: Any) -> None:
            pass

        @property
        def format_dict(self) -> dict[str, Any]:
            return {"rate": None}

    return Bar

"""A loopback server that speaks enough of the Hugging Face hub's protocol to fetch repositories from folders.

    with hub_server({"models/org/name": folder, "datasets/org/name": folder}) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)

A repository has one commit, the hash of what its folder holds, on the branch `main`; a key that ends in
`@branch` adds another branch.
"""

import contextlib
import hashlib
import json
import threading
from collections.abc import Collection, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

_LFS = (".safetensors", ".npz", ".pt")


def _blob(data: bytes) -> str:
    """The hash git knows a file by."""
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


class _Refused(Exception):
    def __init__(self, status: int, code: str) -> None:
        self.status, self.code = status, code


class _Hub:
    """The repositories, and what goes wrong with them on purpose."""

    def __init__(
        self,
        repos: Mapping[str, Path],
        gated: Collection[str],
        cut: Collection[str],
        status: int | None,
        altered: Collection[str],
        mislisted: Collection[str],
    ) -> None:
        self.repos = {key: Path(folder) for key, folder in repos.items()}
        self.gated, self.cut, self.status = gated, cut, status
        self.altered, self.mislisted = altered, mislisted
        self.requests: list[str] = []

    def find(self, kind: str, parts: list[str], verbs: tuple[str, ...]) -> tuple[str, list[str]]:
        """The repository's key and what follows it, for ids of two names and of one."""
        for length in (2, 1):
            rest = parts[length:]
            key = f"{kind}/{'/'.join(parts[:length])}"
            if key in self.repos and (not rest or rest[0] in verbs):
                if key in self.gated:
                    raise _Refused(403, "GatedRepo")
                return key, rest
        raise _Refused(404, "RepoNotFound")

    def folder(self, key: str, revision: str) -> tuple[Path, str]:
        for branch, name in (
            (key, "main"),
            *((k, k.partition("@")[2]) for k in self.repos if k.startswith(key + "@")),
        ):
            commit = self.commit(self.repos[branch])
            if revision in (name, commit):
                return self.repos[branch], commit
        raise _Refused(404, "RevisionNotFound")

    def files(self, folder: Path) -> list[str]:
        return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())

    def commit(self, folder: Path) -> str:
        hasher = hashlib.sha1()
        for name in self.files(folder):
            hasher.update(name.encode() + b"\0" + (folder / name).read_bytes())
        return hasher.hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: _Hub

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        address = urlsplit(self.path)
        parts = [part for part in address.path.split("/") if part]
        self.hub.requests.append(f"{self.command} {address.path}")
        try:
            if self.hub.status is not None:
                raise _Refused(self.hub.status, "")
            if parts[:1] == ["api"]:
                self._json(self._api(parts[1], parts[2:], body))
            else:
                kind, parts = (parts[0], parts[1:]) if parts[0] in ("datasets", "spaces") else ("models", parts)
                self._file(kind, parts)
        except _Refused as refused:
            headers = {"X-Error-Code": refused.code, "X-Error-Message": refused.code}
            self._send(refused.status, json.dumps({"error": refused.code}).encode(), headers)

    def _api(self, kind: str, parts: list[str], body: bytes) -> object:
        key, rest = self.hub.find(kind, parts, ("revision", "tree", "paths-info"))
        verb = rest[0] if rest else "revision"
        revision = unquote(rest[1]) if len(rest) > 1 else "main"
        folder, commit = self.hub.folder(key, revision)
        files = self.hub.files(folder)
        if verb == "revision":
            return {
                "id": key.partition("/")[2],
                "sha": commit,
                "private": False,
                "gated": False,
                "disabled": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": [{"rfilename": name} for name in files],
            }
        if verb == "tree":
            under = unquote("/".join(rest[2:]))
            return self._tree(folder, [name for name in files if not under or name.startswith(under + "/")])
        fields = json.loads(body) if body[:1] == b"{" else parse_qs(body.decode())
        wanted = fields.get("paths", [])
        wanted = [wanted] if isinstance(wanted, str) else wanted
        entries = {entry["path"]: entry for entry in self._tree(folder, files)}
        return [entries[path] for path in wanted if path in entries]

    def _tree(self, folder: Path, names: list[str]) -> list[dict]:
        """Every file, and every folder on the way to one."""
        folders = sorted({p.as_posix() for name in names for p in Path(name).parents} - {"."})
        return [{"type": "directory", "oid": "0" * 40, "size": 0, "path": path} for path in folders] + [
            self._entry(folder / name, name) for name in names
        ]

    def _entry(self, path: Path, name: str) -> dict:
        """Weights are listed as LFS keeps them, by the git hash of a pointer; other files by their own."""
        data = path.read_bytes()
        size = len(data) + (1 if name in self.hub.mislisted else 0)
        entry = {"type": "file", "size": size, "path": name}
        if path.suffix not in _LFS:
            return entry | {"oid": _blob(data)}
        oid = hashlib.sha256(data).hexdigest()
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(data)}\n".encode()
        lfs = {"oid": oid, "size": size, "pointerSize": len(pointer)}
        return entry | {"oid": _blob(pointer), "lfs": lfs}

    def _etag(self, path: Path) -> str:
        data = path.read_bytes()
        return hashlib.sha256(data).hexdigest() if path.suffix in _LFS else _blob(data)

    def _file(self, kind: str, parts: list[str]) -> None:
        key, rest = self.hub.find(kind, parts, ("resolve",))
        folder, commit = self.hub.folder(key, unquote(rest[1]))
        name = unquote("/".join(rest[2:]))
        if name not in self.hub.files(folder):
            raise _Refused(404, "EntryNotFound")
        data = (folder / name).read_bytes()
        if name in self.hub.altered:
            data = data[:-1] + bytes([data[-1] ^ 1])
        headers = {
            "ETag": f'"{self._etag(folder / name)}"',
            "X-Repo-Commit": commit,
            "Accept-Ranges": "bytes",
        }
        status, wanted = 200, self.headers.get("Range", "")
        if wanted.startswith("bytes="):
            self.hub.requests[-1] += f" {wanted}"
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start = int(first) if first else len(data) - int(last)
            stop = min(int(last) + 1, len(data)) if first and last else len(data)
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
            status, data = 206, data[start:stop]
        self._send(status, data, headers, cut=name in self.hub.cut)

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, data: bytes, headers: Mapping[str, str], cut: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self.close_connection = True


@contextlib.contextmanager
def hub_server(
    repos: Mapping[str, Path],
    *,
    gated: Collection[str] = (),
    cut: Collection[str] = (),
    status: int | None = None,
    altered: Collection[str] = (),
    mislisted: Collection[str] = (),
    requests: list[str] | None = None,
) -> Iterator[str]:
    """Serve folders as repositories; yields the address to use as HF_ENDPOINT.

    `gated`: keys that need terms to be accepted. `cut`: file names whose download breaks off half-way.
    `status`: what every request is answered with instead. `altered`: file names whose last byte is wrong.
    `mislisted`: file names that are listed a byte longer than they are. `requests`: a list that gets each
    "METHOD /path", and the range asked for behind it.
    """
    hub = _Hub(repos, gated, cut, status, altered, mislisted)
    if requests is not None:
        hub.requests = requests
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

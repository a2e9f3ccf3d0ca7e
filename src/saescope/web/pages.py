"""The pages: files of the built front end, and `index.html` for every address that is one of its own."""

from pathlib import Path

from fastapi import FastAPI, Request
from starlette.responses import FileResponse, HTMLResponse, Response

from . import answers

STATIC = Path(__file__).parent / "static"

_TYPES = {
    ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".png": "image/png",
    ".ico": "image/x-icon", ".woff2": "font/woff2", ".json": "application/json", ".txt": "text/plain",
    ".webmanifest": "application/manifest+json", ".map": "application/json",
}  # fmt: skip

_NOT_BUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>saescope</title><h1>saescope</h1>
<p>The API answers under <a href="/api/openapi.json">/api</a>.
The pages are not built in this installation.</p></html>"""


def add_pages(app: FastAPI, static: Path = STATIC) -> None:
    """Serve the files found now, by their exact names; nothing is looked up by what a client writes."""
    files = {f"/{path.relative_to(static).as_posix()}": path for path in static.rglob("*") if path.is_file()}

    @app.api_route("/api/{rest:path}", methods=_EVERY, include_in_schema=False)
    def nothing(rest: str) -> Response:
        return answers.error(404, "not_found", "there is no such address", "see /api/openapi.json")

    @app.get("/{path:path}", include_in_schema=False)
    def page(path: str, request: Request) -> Response:
        asked = f"/{path}"
        if asked not in files:
            if asked.startswith("/assets/"):
                return answers.error(404, "not_found", "there is no such file")
            asked = "/index.html"
        if asked not in files:
            return HTMLResponse(_NOT_BUILT)
        caching = "public, max-age=31536000, immutable" if asked.startswith("/assets/") else "no-cache"
        headers = {"Cache-Control": caching, "Vary": "Accept-Encoding"}
        kind = _TYPES.get(Path(asked).suffix, "application/octet-stream")
        squeezed = files.get(f"{asked}.gz")
        if squeezed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            return FileResponse(squeezed, headers=headers | {"Content-Encoding": "gzip"}, media_type=kind)
        return FileResponse(files[asked], headers=headers, media_type=kind)


_EVERY = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

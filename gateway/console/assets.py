"""The files of the page, read once at start: no request ever names a path on the disk."""

import gzip
import hashlib
import json
import tomllib
from dataclasses import dataclass
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

LANGUAGES = ("en", "zh")
_KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "json": "application/json",
}
_WORTH_PACKING = 1400


def packed(body: bytes, accepted: str) -> tuple[bytes, dict[str, str]]:
    """The body as it goes out, and the headers that say so."""
    if len(body) < _WORTH_PACKING or "gzip" not in accepted:
        return body, {"vary": "Accept-Encoding"}
    return gzip.compress(body, 3, mtime=0), {"vary": "Accept-Encoding", "content-encoding": "gzip"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it goes out: plain, packed, and its tag."""

    body: bytes
    small: bytes
    kind: str
    tag: str

    def answer(self, request: Request, language: str = "") -> Response:
        """The file, or 304 if the browser has it."""
        headers = {"etag": self.tag, "cache-control": "no-cache", "vary": "Accept-Encoding"}
        if language:
            headers |= {"content-language": language, "vary": "Accept-Encoding, Accept-Language"}
        if request.headers.get("if-none-match") == self.tag:
            return Response(None, 304, headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(self.small, 200, {**headers, "content-encoding": "gzip"}, self.kind)
        return Response(self.body, 200, headers, self.kind)


def _asset(name: str, body: bytes) -> Asset:
    digest = hashlib.sha256(body).hexdigest()[:24]
    return Asset(body, gzip.compress(body, 9, mtime=0), _KINDS[name.rpartition(".")[2]], f'"{digest}"')


def words(language: str) -> dict[str, str]:
    """What the console says in one language."""
    table = tomllib.loads(files("config").joinpath("messages", f"{language}.toml").read_text("utf-8"))
    return {str(key): str(text) for key, text in table["console"].items()}


def assets() -> dict[str, Asset]:
    """Every file by its path in the address. The page itself is /LANGUAGE, the same but for the language it names."""
    found = {}
    for file in files("gateway.console").joinpath("static").iterdir():
        if file.name.rpartition(".")[2] in _KINDS:
            found[f"/static/{file.name}"] = _asset(file.name, file.read_bytes())
    page = found.pop("/static/index.html").body
    for language in LANGUAGES:
        found[f"/{language}"] = _asset("index.html", page.replace(b'<html lang="en">', f'<html lang="{language}">'.encode(), 1))
        body = json.dumps(words(language), ensure_ascii=False, separators=(",", ":")).encode()
        found[f"/messages/{language}.json"] = _asset("messages.json", body)
    return found


def language(asked: str, accepted: str) -> str:
    """The language to speak: what `?lang=` asks for, else what the browser prefers of ours, else English."""
    if asked in LANGUAGES:
        return asked
    best, weight = LANGUAGES[0], 0.0
    for part in accepted[:400].split(","):
        name, _, quality = part.strip().partition(";q=")
        try:
            q = float(quality) if quality else 1.0
        except ValueError:
            continue
        if name[:2].lower() in LANGUAGES and q > weight:
            best, weight = name[:2].lower(), q
    return best

"""Secrets taken out of what is written to disk, logged, or told to a client.

Theory. Clients know their own secrets, and an answer is theirs; but the proxy sends some of its own upstream, and
gateways quote what they refuse. `Known` takes these few values out of errors, and nothing else, so that an error stays
what it is. What is kept (captures, the log) loses more (`Redactor`), of two kinds. What the exchange itself carried as
a secret (authorization, keys, cookies, the proxy's own headers, credentials in the upstream's URL) is known, and is
replaced wherever it stands, in JSON's spelling too. What merely looks like one (keys of the well-known forms, bearer
tokens, passwords in URLs, string members named `api_key` and the like) is replaced by pattern. A pattern eats only
characters that stand plain in JSON, so what was JSON stays JSON. What a model itself spells out, a few characters an
event, is not found.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from .headers import Raw

__all__ = ["REMOVED", "Known", "Redactor"]

REMOVED = "[removed]"
_SHORTEST = 6  # characters; shorter "secrets" (`none`, `x`) would blank out ordinary words

_SECRET_HEADER = re.compile(
    rb"auth|cookie|(?:^|-)(?:api)?-?key|token|secret|password|credential|cf-a|session", re.IGNORECASE
)
_SECRET_MEMBER = re.compile(
    r"(?:^|[_-])(?:authorization|cookies?|api_?key|access_?key|secret(?:_?key)?|password|passwd|credentials?"
    r"|(?:access|auth|refresh|id|bearer)_?token)$",
    re.IGNORECASE,
)
_SHAPES = re.compile(
    rb"\b(?:sk|pk|rk)-[\w-]{16,400}"
    rb"|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}|\bhf_\w{16,}|\bxox[abprs]-[\w-]{10,}"
    rb"|\bAKIA[0-9A-Z]{12,}|\bAIza[\w-]{30,}|\beyJ[\w-]{10,4000}\.eyJ[\w-]{10,4000}\.[\w-]{5,}"
    rb"|(?i:\bbearer[ ]+)[\w.~+/-]{8,}=*"
    rb"|(?i:(?<=[?&])(?:api[_-]?key|access_token|token|key|secret|password)=)[^&\s\"'\\]+"
    rb"|(?<=://)[^\s/@:\"'\\]{1,200}:[^\s/@\"'\\]{1,200}(?=@)"
)
#: What each shape has in it, in lower case: a text without any needs no search, which would take 90 ms a megabyte, and
#: all of it at a stretch, while every stream waits.
_HINTS = (
    b"sk- pk- rk- ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- hf_ xox akia aiza eyj bearer :// "
    b"key= token= secret= password="
).split()
_BLOCK = 16 * 1024
_KEPT_HEAD = re.compile(rb"(?i)^(?:bearer[ ]+|[\w-]+=)")


class Known:
    """Takes known values out, wherever they stand, escaped as JSON, HTML or programming languages do, too.

    Args:
        secrets: the values; what is shorter than six characters would blank out ordinary words, and stays.
    """

    def __init__(self, secrets: Iterable[bytes | str]) -> None:
        every = {s.encode("utf-8", "replace") if isinstance(s, str) else s for s in secrets}
        found = sorted((s for s in every if len(s) >= _SHORTEST), key=len, reverse=True)
        self._found = [(secret, _escaped(secret.decode("utf-8", "replace"))) for secret in found]
        self._longest = max((len(s) if p is None else _SPELLED * len(s) for s, p in self._found), default=0)

    def __bool__(self) -> bool:
        return bool(self._found)

    def clean(self, data: bytes) -> bytes:
        """Data without them."""
        for secret, escaped in self._found:
            data = data.replace(secret, REMOVED.encode())
            if escaped is not None:
                data = escaped.sub(REMOVED.encode(), data)
        return data

    def clean_text(self, text: str) -> str:
        """Text without them."""
        if not self._found:
            return text
        return self.clean(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def clean_headers(self, headers: Raw) -> Raw:
        """Headers without them in the values."""
        return [(name, self.clean(value)) for name, value in headers] if self._found else headers

    async def clean_pieces(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same for data that comes in pieces; what may be the start of one is held back."""
        held = b""
        most = max(self._longest - 1, 0)
        async for piece in pieces:
            data = self.clean(held + piece)
            cut = max(len(data) - most, 0)
            held = data[cut:]
            if cut:
                yield data[:cut]
        if held:
            yield held


_SPELLED = 8  # bytes that a byte may be spelled with: `\\\\u002b`


def _escaped(text: str) -> re.Pattern[bytes] | None:
    """Text with any number of backslashes, or a spelling of JSON or HTML, where escaping may put one; None: nowhere.

    No more than linear: what eats backslashes gives none back, and it is never what a match begins with.
    """
    parts: list[str] = []
    for char in re.findall(r"\\+|[^\\]", text.lstrip("\\")):
        if char[0] == "\\":
            parts.append(r"\\++")
        elif char.isascii() and (char.isalnum() or char in "-_.~ "):
            parts.append(re.escape(char))
        else:
            escape = f"u{ord(char):04x}" if char.isascii() else json.dumps(char)[2:-1].replace("\\", r"\\+")
            ways = f"(?:{re.escape(char)}|{re.escape(html.escape(char))}|(?i:{escape}))"
            parts.append((r"\\*+" if parts else r"\\?") + ways)
    if len(parts) < _SHORTEST or all(len(part) <= 2 for part in parts):
        return None
    return re.compile("".join(parts).encode())


class Redactor:
    """Takes the secrets of one exchange out.

    Args:
        headers: those of the request.
        known: other secrets of the proxy.
    """

    def __init__(self, headers: Iterable[tuple[bytes, bytes]], known: Iterable[str] = ()) -> None:
        found = {value.encode("utf-8", "replace") for value in known}
        for name, value in headers:
            if not _SECRET_HEADER.search(name):
                continue
            found.add(value)
            if b"cookie" in name.lower():
                found.update(part.partition(b"=")[2].strip() for part in value.split(b";"))
            else:
                found.add(value.partition(b" ")[2].strip())  # what follows `Bearer`
        self._known = Known(found)

    def clean(self, data: bytes) -> bytes:
        """Data without secrets."""
        return b"".join(map(_clean_block, _blocks(self._known.clean(data))))

    def clean_json(self, value: Any) -> bytes:
        """A JSON value without secrets, as text for a file."""
        text = json.dumps(_members(value, 0), ensure_ascii=False, indent=1)
        return self.clean(text.encode("utf-8", "replace"))


def _blocks(data: bytes) -> Iterator[bytes]:
    """The data in blocks of whole lines: no shape goes over a line's end."""
    at = 0
    while at < len(data):
        end = data.find(b"\n", at + _BLOCK) + 1 or len(data)
        yield data[at:end]
        at = end


def _clean_block(block: bytes) -> bytes:
    lowered = block.lower()
    return _SHAPES.sub(_shape, block) if any(hint in lowered for hint in _HINTS) else block


def _shape(match: re.Match[bytes]) -> bytes:
    head = _KEPT_HEAD.match(match[0])
    return (head[0] if head else b"") + REMOVED.encode()


def _members(value: Any, depth: int) -> Any:
    if depth > 100:
        return value
    if isinstance(value, dict):
        return {
            key: REMOVED
            if isinstance(item, str) and item and _SECRET_MEMBER.search(key)
            else _members(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_members(item, depth + 1) for item in value]
    return value

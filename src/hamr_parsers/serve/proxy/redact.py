"""Secrets taken out of what is written to disk.

Theory. Two kinds. What the exchange itself carried as a secret (authorization, keys, cookies, the proxy's own headers,
credentials in the upstream's URL) is known, and is replaced wherever it stands, in JSON's spelling too. What merely
looks like one (keys of the well-known forms, bearer tokens, passwords in URLs, string members named `api_key` and
the like) is replaced by pattern. A pattern eats only characters that stand plain in JSON, so what was JSON stays JSON.
What a model itself spells out, a few characters an event, is not found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["REMOVED", "Redactor"]

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


class Redactor:
    """Takes the secrets of one exchange out.

    Args:
        headers: those of the request, the client's and the upstream's.
        known: other secrets of the proxy.
    """

    def __init__(self, headers: Iterable[tuple[bytes, bytes]], known: Iterable[str] = ()) -> None:
        found = {value.encode() for value in known}
        for name, value in headers:
            if not _SECRET_HEADER.search(name):
                continue
            found.add(value)
            if b"cookie" in name.lower():
                found.update(part.partition(b"=")[2].strip() for part in value.split(b";"))
            else:
                found.add(value.partition(b" ")[2].strip())  # what follows `Bearer`
        spelled = {json.dumps(v.decode("utf-8", "replace"))[1:-1].encode() for v in found}
        self._known = sorted((v for v in found | spelled if len(v) >= _SHORTEST), key=len, reverse=True)

    def clean(self, data: bytes) -> bytes:
        """Data without secrets."""
        for secret in self._known:
            data = data.replace(secret, REMOVED.encode())
        return b"".join(map(_clean_block, _blocks(data)))

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

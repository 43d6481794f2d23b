"""One event as bytes of `text/event-stream`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["encode"]


def encode(event: str, payload: Mapping[str, Any]) -> bytes:
    """An event with a name: `event: NAME`, `data: JSON`, a blank line.

    The line ends that only some readers take for one (U+0085, U+2028, U+2029) are escaped; half a surrogate pair,
    which UTF-8 cannot hold, becomes `?`.
    """
    data = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    if not data.isascii():
        data = data.replace("\x85", "\\u0085").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return f"event: {event}\ndata: {data}\n\n".encode("utf-8", "replace")

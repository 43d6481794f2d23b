"""Reasoning as `encrypted_content`: the field that clients send back unread when nothing is stored.

OpenAI's is encrypted, since it hides what its models think. A local model's reasoning is the user's own, and only has
to survive in a client that keeps no other field of it (Vercel's): it is packed, for this adapter to read again.
"""

from __future__ import annotations

import base64
import binascii

__all__ = ["pack", "unpack"]

_MARKER = "hamr-parsers:"


def pack(text: str) -> str:
    """A text as an opaque value."""
    return _MARKER + base64.b64encode(text.encode("utf-8", "replace")).decode()


def unpack(value: object) -> str:
    """The text that was packed; an empty one for any other value, such as OpenAI's own."""
    if not isinstance(value, str) or not value.startswith(_MARKER):
        return ""
    try:
        return base64.b64decode(value[len(_MARKER) :], validate=True).decode()
    except (binascii.Error, ValueError):
        return ""

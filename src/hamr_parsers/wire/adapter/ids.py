"""Ids: of responses, messages and items, which are new, and of tool calls, which must come back as they went out.

A chat call's id may be any text (Kimi's are `functions.name:0`, and its template wants them back so). The Responses
API takes any; Anthropic's takes only letters, digits, `_` and `-`. An id that does not fit is written as a marker and
its bytes in base64url, which the next request undoes, so that no table of ids has to be kept.
"""

from __future__ import annotations

import base64
import binascii
import os
import re

__all__ = ["chat_call_id", "new_id", "tool_use_id"]

_FITS = re.compile(r"[A-Za-z0-9_-]+")
_MARKER = "toolu_b64_"


def new_id(prefix: str) -> str:
    """A new id, as `resp_` and 24 hexadecimal digits."""
    return f"{prefix}_{os.urandom(12).hex()}"


def tool_use_id(call_id: str) -> str:
    """The `tool_use` id for a chat call's id; the same one if it fits."""
    if _FITS.fullmatch(call_id) and not call_id.startswith(_MARKER):
        return call_id
    return _MARKER + base64.urlsafe_b64encode(call_id.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def chat_call_id(tool_use: str) -> str:
    """The chat call's id behind a `tool_use` id; undoes `tool_use_id`, and leaves any other id as it is."""
    if not tool_use.startswith(_MARKER):
        return tool_use
    packed = tool_use[len(_MARKER) :]
    try:
        call_id = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).decode("utf-8", "surrogatepass")
    except (binascii.Error, ValueError):
        return tool_use
    return call_id if tool_use_id(call_id) == tool_use else tool_use

"""Numbers in the spellings of programming languages, as JSON: `+1`, `007`, `.5`, `5.`, `0x1F`, `1_000`."""

from __future__ import annotations

import re

__all__ = ["FLOAT", "MAX_NUMBER", "number"]

MAX_NUMBER = 4300
"""Characters; Python makes no integer of more digits."""

_DECIMAL = re.compile(r"([+-]?)([0-9]+(?:_[0-9]+)*)")
FLOAT = re.compile(r"([+-]?)((?:[0-9]+(?:_[0-9]+)*)?)(\.(?:[0-9]+(?:_[0-9]+)*)?)?([eE][+-]?[0-9]+)?")
_BASED = re.compile(r"([+-]?)0(?:[xX][0-9a-fA-F_]+|[oO][0-7_]+|[bB][01_]+)")


def number(text: str) -> str | None:
    """The JSON text of a Python number; None if the text is none, or one that JSON cannot say."""
    if len(text) > MAX_NUMBER or text[-1:] not in "0123456789.abcdefABCDEF":
        return None
    if text[:1] in ("+", "-"):
        text = text[0] + text[1:].lstrip(" \t\r\n\f")
    match = _DECIMAL.fullmatch(text)
    if match is not None:
        digits = match[2].replace("_", "").lstrip("0") or "0"
        return ("-" if match[1] == "-" else "") + digits
    match = _BASED.fullmatch(text)
    if match is not None:
        if len(text) > 1000:
            return None
        try:
            return str(int(text, 0))
        except ValueError:
            return None
    match = FLOAT.fullmatch(text)
    if match is None or not (match[2] or (match[3] or "").strip(".")):
        return None
    try:
        if abs(float(text)) == float("inf"):
            return None
    except ValueError:
        return None
    sign, whole, fraction, exponent = match.groups()
    whole = whole.replace("_", "").lstrip("0") or "0"
    out = ("-" if sign == "-" else "") + whole
    if fraction is not None:
        out += "." + (fraction[1:].replace("_", "") or "0")
    return out + (exponent or "")

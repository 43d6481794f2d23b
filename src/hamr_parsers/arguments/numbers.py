"""Numbers in the spellings of programming languages, as JSON: `+1`, `007`, `.5`, `5.`, `0x1F`, `1_000`."""

from __future__ import annotations

import re

__all__ = ["FLOAT", "MAX_NUMBER", "NUMBERS", "integer", "number"]

MAX_NUMBER = 4300
"""Characters; Python makes no integer of more digits."""
_MAX_SHIFT = 400  # digits that an exponent may add to an integer

_DIGITS = "[0-9]++(?:_[0-9]++)*+"
FLOAT = re.compile(rf"([+-]?)((?:{_DIGITS})?)(\.(?:{_DIGITS})?)?([eE][+-]?[0-9]+)?")
_BASED = re.compile(r"([+-]?)0(?:[xX][0-9a-fA-F_]+|[oO][0-7_]+|[bB][01_]+)")


def number(text: str) -> str | None:
    """The JSON text of a Python number; None if the text is none, or one that JSON cannot say."""
    if len(text) > MAX_NUMBER:
        return None
    if text[:1] in ("+", "-"):
        text = text[0] + text[1:].lstrip(" \t\r\n\f")
    match = FLOAT.fullmatch(text)
    if match is None:
        try:
            return str(int(text, 0)) if len(text) <= 1000 and _BASED.fullmatch(text) else None
        except ValueError:
            return None
    sign, whole, fraction, exponent = match.groups()
    if not whole and fraction in (None, "."):
        return None
    out = ("-" if sign == "-" else "") + (whole.replace("_", "").lstrip("0") or "0")
    if fraction is not None:
        out += "." + (fraction[1:].replace("_", "") or "0")
    out += exponent or ""
    is_float = fraction is not None or exponent is not None
    return None if is_float and abs(float(out)) == float("inf") else out


def integer(text: str) -> str | None:
    """The JSON text of an integer, `5.0` and `5e3` included; None if the text is none."""
    match = FLOAT.fullmatch(text) if len(text) <= MAX_NUMBER else None
    if match is None:
        return None
    sign, whole, fraction, exponent = match.groups()
    if (fraction or "").strip(".0"):
        return None
    sign = "-" if sign == "-" else ""
    whole = whole.replace("_", "").lstrip("0")
    if not whole:
        return "0" if fraction or exponent else f"{sign}0"
    shift = int(exponent[1:10]) if exponent else 0
    return f"{sign}{whole}{'0' * shift}" if 0 <= shift <= _MAX_SHIFT else None


def _patterns(lenient: bool, integers: bool) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Patterns of a whole number, and of what may still become one.

    Args:
        lenient: `+5`, `1_000`, `007`, `.5` and `5.` are numbers too, not only what JSON has (where `007` is text).
        integers: only integers are numbers.
    """
    sign, digit, power = (
        "[+-]?+" if lenient else "-?+",
        "0" if integers else "[0-9]",
        "+" if integers else "+-",
    )
    whole, begun = (
        (_DIGITS, "(?:[0-9]++_)*+[0-9]*+") if lenient else ("(?:0|[1-9][0-9]*+)", "(?:0|[1-9][0-9]*+)?+")
    )
    point = rf"\.{digit}{'*+' if lenient else '++'}"
    value = f"{whole}(?:{point})?+"
    points = rf"{whole}\.{digit}*+"
    if lenient and not integers:
        value, points = rf"(?:{value}|\.[0-9]++)", rf"(?:{points}|\.[0-9]*+)"
    exponent = f"[eE][{power}]?+[0-9]"
    return (
        re.compile(f"{sign}{value}(?:{exponent}++)?+"),
        re.compile(f"{sign}(?:{begun}|{points}|{value}{exponent}*+)"),
    )


NUMBERS = {
    (lenient, integers): _patterns(lenient, integers)
    for lenient in (False, True)
    for integers in (False, True)
}

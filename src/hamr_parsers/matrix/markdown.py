"""Markdown from text that was not written as Markdown: models' outputs, markers, patterns, notes.

Tables and fences are those of CommonMark with GitHub's tables. What a model wrote is always in code, with line ends
and other controls made visible; a fence or a code span is longer than any run of backticks in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["cell", "code", "codes", "fence", "link", "prose", "shortened", "table"]

_TICKS = re.compile(r"`+")
_SPAN = re.compile(r"(`+)(.+?)\1", re.DOTALL)
_SPECIAL = re.compile(r"([\\*_<>\[\]#~])")
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]")


def visible(text: str) -> str:
    """The text on one line: line ends as `⏎`, other controls as escapes."""
    return _CONTROLS.sub(lambda m: repr(m[0])[1:-1], text).replace("\n", "⏎")


def shortened(text: str, most: int) -> str:
    """The text, or its beginning and end with what is left out counted."""
    if len(text) <= most:
        return text
    head, tail = most * 2 // 3, most // 3
    return f"{text[:head]} …{len(text) - head - tail} more… {text[-tail:]}"


def code(text: str) -> str:
    """A code span."""
    text = visible(text)
    if not text.strip():
        text = text.replace(" ", "␣")
    if not text:
        return ""
    ticks = "`" * (max((len(run) for run in _TICKS.findall(text)), default=0) + 1)
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def codes(texts: Iterable[str], joint: str = ", ") -> str:
    """Code spans in a row."""
    return joint.join(code(text) for text in texts)


def prose(text: str) -> str:
    """A sentence for people, in which only code spans mean anything."""
    out = []
    at = 0
    for match in _SPAN.finditer(text):
        out += [_SPECIAL.sub(r"\\\1", text[at : match.start()]), match[0]]
        at = match.end()
    out.append(_SPECIAL.sub(r"\\\1", text[at:]).replace("`", r"\`"))
    return " ".join("".join(out).split())


def link(text: str, target: str) -> str:
    """A link with a text that is Markdown already."""
    return f"[{text}]({target})"


def fence(text: str, language: str = "text") -> str:
    """A block of code."""
    runs = [len(run) for run in _TICKS.findall(text)]
    ticks = "`" * max(3, max(runs, default=0) + 1)
    return f"{ticks}{language}\n{text.rstrip(chr(10))}\n{ticks}"


def cell(text: str) -> str:
    """What may stand in a table: on one line, its bars escaped (also those in code spans)."""
    return text.replace("\n", " ").replace("|", r"\|").strip()


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(cell(text) for text in row)} |" for row in rows]
    return "\n".join(lines)

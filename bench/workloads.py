"""What is measured: texts as the families write them, in chunks as servers send them.

Theory. A number in microseconds says something about the machine; a ratio to a floor measured in the same run
says something about the code. So every workload is a list of chunks that is fed to the parser and to a floor:
`Floor` is the least that any parser must do (a method call that returns a list with one event), `Append` the
least that anybody must do with a chunk. Texts are spelled by each family's canonical template, so a new family
is measured by being registered.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import hamr_parsers as hp

CHUNK = 4

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "write_file",
            "parameters": {
                "type": "object",
                "properties": {
                    "path": {"type": "string"},
                    "content": {"type": "string"},
                    "tree": {"type": "object"},
                    "days": {"type": "integer"},
                },
            },
        },
    },
    {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
]

PROSE = "The quick brown fox jumps over the lazy dog, 3 < 4 and [see] {this}. "
CODE = 'def f{0}(x):\n    return "a{0}" + str(x) * {0}  # note\n'
PLAIN = "a plain line of words without anything to escape in it, "


class Event:
    """The least event: slotted, an index and a text."""

    __slots__ = ("index", "text")

    def __init__(self, index: int, text: str) -> None:
        self.index = index
        self.text = text


class Floor:
    """A method call that returns a list with one slotted event."""

    __slots__ = ()

    def feed(self, chunk: str) -> list[Any]:
        return [Event(0, chunk)]

    def close(self) -> list[Any]:
        return []


class Append:
    """Keeping the chunk."""

    __slots__ = ("feed", "pieces")

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.feed = self.pieces.append

    def close(self) -> list[Any]:
        return []


def families() -> list[str]:
    """The registered families that have a grammar."""
    return [family.id for family in hp.list_families() if family.kind == "grammar"]


def call(family: str, *calls: tuple[str, dict[str, Any]], reasoning: str = "", content: str = "") -> str:
    """A message of calls as the family's template writes it."""
    message = {
        "content": content,
        "reasoning": reasoning,
        "tool_calls": [{"name": name, "arguments": arguments} for name, arguments in calls],
    }
    return hp.render(message, parser=family, in_reasoning=False, check=False)


def repeat(unit: str, size: int) -> str:
    """The unit (with `{0}` as a counter) as often as it takes, cut to size."""
    if "{0}" in unit:
        pieces: list[str] = []
        length = 0
        while length < size:
            pieces.append(unit.replace("{0}", str(len(pieces))))
            length += len(pieces[-1])
        return "".join(pieces)[:size]
    return (unit * (size // len(unit) + 1))[:size]


def nested(size: int) -> dict[str, Any]:
    """An object of many small ones, about so many characters of JSON."""
    rows = [{"id": i, "tags": ["a", "b"], "ok": True, "p": {"x": i / 7}} for i in range(max(1, size // 75))]
    return {"tree": {"rows": rows}}


def texts(family: str, largest: int = 10_000_000) -> dict[str, str]:
    """The workloads of a family by name; `largest` bounds the long string argument."""

    def long(path: str, content: str) -> str:
        return call(family, ("write_file", {"path": path, "content": content}))

    def escaped(text: str, value: str) -> str:  # with all the escapes that the encoding has
        quoted = '"@@@@"' in text or "'@@@@'" in text
        return text.replace("@@@@", json.dumps(value)[1:-1] if quoted else value)

    out = {
        "prose": repeat(PROSE, 100_000),
        "string 1 KB": long("a.txt", repeat(PLAIN, 1_000)),
        "string 100 KB": long("a.txt", repeat(PLAIN, 100_000)),
        "string 10 MB": long("a.txt", repeat(PLAIN, largest)),
        "code in a string": long("a.py", repeat(CODE, 100_000)),
        "escapes": escaped(long("a", "@@@@"), repeat('\\"\n\t é\u0007\U0001f600', 60_000)),
        "nested JSON": call(family, ("write_file", nested(60_000))),
        "short calls": call(family, *(("write_file", {"path": f"{i}.txt", "days": i}) for i in range(600))),
    }
    if hp.get_family(family).reasoning:
        out["reasoning"] = call(family, reasoning=repeat(PROSE, 100_000), content="Done.")
    return out


def hostile(family: str, size: int) -> dict[str, str]:
    """Texts that invite a parser to look at the same characters again; each grows with size."""
    from hamr_parsers.families.dialects import marker_texts

    markers = [m for m in marker_texts(family) if m.strip()]
    whole = call(family, ("write_file", {"path": "a.txt"}))
    before = call(family, ("write_file", {"path": "@@@@"})).partition("@@@@")[0]
    value = json.dumps({"path": "a.txt"})
    raw = whole.partition(value)[0] if value in whole else before
    n = max(1, size)
    return {
        "openers only": repeat(markers[0], n),
        "all markers": repeat("".join(markers), n),
        "first characters": markers[0][0] * n,
        "nearly markers": repeat(next(m for m in markers if len(m) > 1)[:-1], n),
        "backslashes": before + "\\" * n,
        "quotes": before + '"' * n,
        "closers in a string": before + "]" * n + "}" * n,
        "blanks behind a call": whole + " " * n + "x",
        "blanks behind a comma": raw + '{"path": "a",' + " " * n + '"days": 1}',
        "open brackets": raw + '{"path": ' + "[" * n,
        "levels": raw + '{"path": ' + "[" * (n // 2) + "]" * (n // 2),
        "junk words in a call": raw + "{" + repeat("junk ", n),
        "junk words": markers[0] + repeat(" junk", n),
        "raw newlines": before + "\n" * n,
        "nearly closers": before + repeat("\n" + markers[-1][:-1], n),
        "fences": repeat("```\n", n),
        "backticks": "`" * n,
        "bare objects": repeat('{"name": ', n),
        "many calls": repeat(whole + "\n", n),
    }


def chunks(text: str, size: int = CHUNK) -> list[str]:
    return [text[i : i + size] for i in range(0, len(text), size)]


def maker(family: str, **options: Any) -> Callable[[], Any]:
    """Makes parsers of the family, all with one compiled ToolSet."""
    tools = hp.ToolSet(TOOLS)
    return lambda: hp.StreamParser(parser=family, tools=tools, **options)

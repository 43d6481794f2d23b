"""Raw JSON, passed through as it is and mended where it is broken.

Theory. `JsonReader` reads one JSON value and gives out JSON text, append-only. It has two halves. The fast one
(here) walks interned nodes (json_nodes.py): well-formed text passes byte for byte, with what must wait held
as it stands. The careful one (json_mend.py) reads what does not fit. The fast half never decides anything: at
the first character that fits nowhere it hands over the text since the last safe place, and the careful half gives
the reader back as soon as it holds nothing and has passed the bad character.

Held back are: a closing quote and what follows it, until the next value begins; a key, until its value begins;
numbers and literals, with the comma before them, until the character behind them; an incomplete escape; and,
unread, up to 64 characters while two mends are possible.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from .json_mend import Boundary, Mender
from .json_nodes import ERROR, MEMO_CHUNK, NOWHERE, Node, Stack, passes, past

__all__ = ["Boundary", "JsonReader", "duplicate_keys", "passes"]

RUN = 128
"""Texts longer than this are read in runs."""
NESTED = 3
"""How many brackets deep a member may be to be read as part of a run."""

_W = r"[ \t\n\r]*+"
_CHARS = r"""[^"\\\x00-\x1f]*+"""
_STR = rf'''"{_CHARS}(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{{4}}){_CHARS})*+"'''
_NUM = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++(?:[eE][+-]?[0-9]++)?+|[eE][+-]?[0-9]++)?+"
_SCALAR = rf"(?:{_NUM}|true|false|null)"
_PAIR = r"u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_SINGLE = r"u(?:[0-9a-ce-fA-CE-F][0-9a-fA-F]|[dD][0-7])[0-9a-fA-F]{2}"
_STRING = re.compile(rf"""{_CHARS}(?:\\(?:["\\/bfnrt]|{_SINGLE}|{_PAIR}){_CHARS})*+""")
"""The inside of a string, up to a quote, an escape that is incomplete or none, or a lone half of a pair."""


_TAIL = re.compile(r", ?|[}\]]*+")
"""What may wait at the end of a string."""


def _before_tail(text: str, start: int, end: int) -> int:
    """Where the comma or closers begin that end the text of a string at `end`."""
    if text.endswith((",", ", "), start, end):
        return text.rindex(",", start, end)
    while end > start and text[end - 1] in "}]":
        end -= 1
    return end


@lru_cache(maxsize=1)
def _run_patterns() -> dict[str, re.Pattern[str]]:
    """For each state a pattern for the whole members that follow; compiled when the first long text comes."""
    value = f"(?:{_STR}|{_SCALAR})"
    for _ in range(NESTED):
        # an element is followed by a comma and another one, or by the closer
        pair = rf'(?:{_STR}{_W}:{_W}{value}{_W}(?:,{_W}(?=")|(?=\}})))'
        item = rf"(?:{value}{_W}(?:,{_W}(?!\])|(?=\])))"
        value = rf"(?:{_STR}|\{{{_W}{pair}*+\}}|\[{_W}{item}*+\]|{_SCALAR})"
    # a number at the end of a run must be seen to be whole
    value = rf"(?:{value}(?:(?<![0-9a-z])|(?={_W}[,\]}}])))"
    member = rf"{_STR}{_W}:{_W}{value}"
    first = {"k0{": member, "v0[": value}
    more = {"A{": member, "A[": value, "A(": value}
    return {
        **{key: re.compile(rf"(?:{_W}{each}(?:{_W},{_W}{each})*+)?+") for key, each in first.items()},
        **{key: re.compile(rf"(?:{_W},{_W}{each})*+") for key, each in more.items()},
    }


_RUNS = frozenset(("A", "Aq", "k0", "v0"))


def _run(node: Node, text: str, i: int) -> tuple[Node, int, int, Node]:
    """Read as many whole members as stand at `i`: the node behind them, its place, the last safe place, its node."""
    stack = node.stack
    if node.stop or stack.depth + NESTED > stack.tree.max_depth:
        return node, i, i, node
    members = _run_patterns().get(node.lex.rstrip("q") + stack.kind)
    j = i if members is None else past(members, text, i)
    if j == i:
        return node, i, i, node
    # closers that stand behind the quote of a string wait with it
    at = j
    c = text[at - 1]
    while c in "}] \t\n\r":
        at -= 1
        c = text[at - 1]
    if c == '"':
        safe = _string_node(stack, text, at - 1, j)
        return stack.node("Aq"), j, _before_tail(text, i, at - 1), safe
    node = stack.node("A")
    return node, j, j, node


def _string_node(stack: Stack, text: str, at: int, end: int) -> Node:
    """The node before the closing quote at `at`, if `stack` is open at `end` and only closers stand between."""
    empty = text[at - 1] == '"' and text[at - 2] != "\\"
    for k in range(end - 1, at, -1):
        c = text[k]
        if c == "}":
            stack = stack.push("{")
        elif c == "]":
            stack = stack.push("[")
    return stack.node("S0" if empty else "S")


class JsonReader(Mender):
    """Reads one JSON value.

    Args:
        boundary: knows the markers that may end the value before it is closed; None: there are none.
        max_depth: brackets that may be open at once; beyond it the value ends as cut, with a diagnostic.
        watch: `feed` returns early ("pauses") down to this nesting level: `pause == "key"` after a key and its
            colon (`key` is the decoded key), `pause == "value"` after a member's value. 0: never.

    Attributes:
        out: JSON text that may be given out, and each mend as a `Diagnostic` at its place; the caller takes and
            clears it.
        done: the value has ended; the text behind it is not touched.
        cut: it ended only because the text did (or at `max_depth`); `closing` completes what was given out.
        base: offset of `text[0]` in the whole input; set it before `feed`.
        recovered: whether anything was mended.
    """

    __slots__ = ()

    @property
    def held(self) -> int:
        """How many characters were read, but neither given out nor dropped (counted on each call)."""
        parts = (self._held, self._hold, self._word, self._gap)
        return len(self._pend) + sum(len(piece) for part in parts for piece in part)

    @property
    def in_string(self) -> bool:
        """Whether the next character stands in a string, as far as the text that was read tells."""
        node = self.node
        lex = node.lex if node is not None else self._lex
        return lex[0] in "SDTQ" and not self.done

    def fast(self, chunk: str) -> str | None:
        """The text to give out for `chunk`, or None if `feed` must read it (nothing has changed then)."""
        node = self.node
        if node is None:
            return None
        try:
            step = node.memo[chunk]
        except KeyError:
            step = node.walk(chunk)
        if step is None:
            return None
        after, give, keep, safe = step
        self.node = after
        held = self._held
        if safe is NOWHERE:
            if not held:
                self._safe = node
            held.append(keep)
            return ""
        if held:
            held.append(give)
            give = "".join(held)
            held.clear()
        if keep:
            held.append(keep)
            self._safe = safe
        return give

    def feed(self, text: str, pos: int, final: bool) -> int:
        """Read from `pos` on; returns how far the text was read.

        What is not read (at most 64 characters) must come again, with more behind it. `final`: there is no
        more; all is decided and the reader is done. Never raises on any text.
        """
        done: bool = self.done
        if done:
            return pos
        self.pause = None
        shift = 0
        i = pos
        if self._pend:
            text = self._pend + text[pos:]
            shift = pos - len(self._pend)
            self._pend = ""
            i = 0
        n = len(text)
        self._abs = self.base + shift
        self._floor += i
        while True:
            node = self.node
            if node is not None:
                given = self.fast(text[i:]) if n - i <= MEMO_CHUNK else None
                if given is not None:
                    if given:
                        self.out.append(given)
                    if final:
                        self._cut_fast()
                    return n + shift
                held = self._held
                first = i
                i, safe_at = self._walk(text, first)
                after = self.node
                assert after is not None
                if after.stop and not self.watch:
                    held.append(text[first:i])
                    self.out.append("".join(held))
                    held.clear()
                    self.node = None
                    self._floor = -1
                    self.done = True
                    break
                if safe_at >= 0:
                    held.append(text[first:safe_at])
                    self.out.append("".join(held))
                    held.clear()
                    start = safe_at
                else:
                    start = first
                    if not held:
                        self._safe = node
                if i >= n and not (final and after.stop):
                    if i > start:
                        held.append(text[start:i])
                    if final:
                        self._cut_fast()
                    break
                # hand over to the careful half, from the last safe place on
                if held:
                    head = "".join(held)
                    held.clear()
                    text = head + text[first:]
                    shift += first - len(head)
                    i += len(head) - first
                    n = len(text)
                    start = 0
                    self._abs = self.base + shift
                safe = self._safe
                assert safe is not None
                self._stack = safe.stack
                self._lex = safe.lex
                self._quote = '"'
                self.node = None
                self._floor = i
                i = start
                if safe.stop:
                    self.pause = "value"
            if self.pause is None:
                i = self._careful(text, i, final)
            if self.node is None:
                # what the fast half had read before it met the bad place counts as read
                read = max(i, self._floor)
                self._floor -= i
                if i < read:
                    if self.done:
                        self._mend("junk", "text behind the end of the value was dropped", i, read)
                    else:
                        self._pend = text[i:read]
                return read + shift
        return i + shift

    def _walk(self, text: str, i: int) -> tuple[int, int]:
        """Walk nodes from `i` to the end or the first character that does not fit (or the value's end).

        Returns that place and the last safe one (-1: there was none).
        """
        node = self.node
        assert node is not None
        n = len(text)
        safe_at = -1
        tried = stuck = -1
        whole = not self.watch
        while i < n:
            if n - i > RUN:
                # long texts: whole runs of well-formed text at once, with the same result
                if node.text and i >= stuck:
                    end = past(_STRING, text, i)
                    j = _before_tail(text, i, end)
                    if j > i:
                        i = safe_at = j
                        self._safe = node
                        continue
                    # a tail and nothing else: it is read once, not again behind each of its characters
                    stuck = end
                elif not node.text and i > tried and node.lex in _RUNS:
                    tried = i
                    node, j, at, safe = _run(node, text, i)
                    if j > i:
                        i = j
                        safe_at = at
                        self._safe = safe
                        continue
            after = node[text[i]]
            if after is ERROR:
                break
            node = after
            i += 1
            mark = node.mark
            if mark:
                safe_at = i if mark == 1 else i - 1
                self._safe = node.safe
            if node.stop and whole:
                break
        self.node = node
        return i, safe_at

    def _cut_fast(self) -> None:
        node = self._safe if self._held else self.node
        after = self.node
        assert node is not None and after is not None
        self.done = self.cut = True
        held = "".join(self._held)
        tail = past(_TAIL, held, 0) if node.lex == "S" else 0
        if tail and (tail < len(held) or self.boundary is None or after.lex != f"T{after.stack.depth}"):
            # it belongs to the text, unless it closes all: then it was meant to
            self.out.append(held[:tail])
        in_string = node.text or node.lex in ("S0", "To")
        self.closing = ('"' if in_string else "") + node.stack.closers(self.watch)
        self._held.clear()
        self.node = None


def duplicate_keys(json_text: str) -> list[str]:
    """The keys that stand more than once in one object of `json_text`, in order, each once.

    One pass of the C scanner. Never raises: none are found in what is no JSON or nested too deep for it.
    """
    found: dict[str, None] = {}

    def pairs(items: list[tuple[str, Any]]) -> None:
        if len(items) > 1 and len(dict(items)) != len(items):
            seen: set[str] = set()
            for key, _ in items:
                if key in seen:
                    found[key] = None
                seen.add(key)

    for parse_int in (None, str):
        # an int of more than 4,300 digits cannot be made
        found.clear()
        try:
            json.loads(json_text, object_pairs_hook=pairs, parse_int=parse_int)
        except ValueError:
            continue
        except RecursionError:
            pass
        break
    return list(found)

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
from typing import Any

from .json_mend import Boundary, Mender
from .json_nodes import ERROR, NOWHERE, Node

__all__ = ["Boundary", "JsonReader", "duplicate_keys"]


class JsonReader(Mender):
    """Reads one JSON value.

    Args:
        boundary: knows the markers that may end the value before it is closed; None: there are none.
        max_depth: brackets that may be open at once; beyond it the value ends as cut, with a diagnostic.
        watch: `feed` returns early ("pauses") at this nesting level: `pause == "key"` after a key and its colon
            (`key` is the decoded key), `pause == "value"` after a member's value. 0: never.

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
        """How many characters were read, but neither given out nor dropped."""
        return len(self._pend) + sum(map(len, self._held)) + sum(map(len, self._hold))

    def fast(self, chunk: str) -> str | None:
        """The text to give out for `chunk`, or None if `feed` must read it (nothing has changed then)."""
        node = self._node
        if node is None:
            return None
        if node.plain and not ("\\" in chunk or '"' in chunk or not chunk.isprintable()):
            return chunk
        try:
            step = node.memo[chunk]
        except KeyError:
            step = node.walk(chunk)
        if step is None:
            return None
        after, give, keep, safe = step
        self._node = after
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
        if self.done:
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
            node = self._node
            if node is not None:
                held = self._held
                first = i
                i, safe_at = self._walk(text, first)
                after = self._node
                assert after is not None
                if after.stop and not self.watch:
                    held.append(text[first:i])
                    self.out.append("".join(held))
                    held.clear()
                    self._node = None
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
                self._node = None
                self._floor = i
                i = start
                if safe.stop:
                    self.pause = "value"
            if self.pause is None:
                i = self._careful(text, i, final)
            if self._node is None:
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
        node = self._node
        assert node is not None
        safe_at = -1
        n = len(text)
        watch = self.watch
        while i < n:
            after = node[text[i]]
            if after is ERROR:
                break
            node = after
            i += 1
            if node.mark:
                safe_at = i if node.mark == 1 else i - 1
                self._safe = node.safe
            elif node.stop and not watch:
                break
            if node.stop and not watch:
                break
        self._node = node
        return i, safe_at

    def _cut_fast(self) -> None:
        node = self._safe if self._held else self._node
        assert node is not None
        self.done = self.cut = True
        self.closing = ('"' if node.plain else "") + node.stack.closers(self.watch)
        self._held.clear()
        self._node = None


def duplicate_keys(json_text: str) -> list[str]:
    """The keys that stand more than once in one object of `json_text`, in order, each once."""
    found: dict[str, None] = {}

    def pairs(items: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in items:
            if key in seen:
                found[key] = None
            seen.add(key)

    json.loads(json_text, object_pairs_hook=pairs)
    return list(found)

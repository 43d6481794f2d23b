"""The strict sequence: one block after the other, each opened once, grown, and closed once.

Theory. The chat API never says that a call is over; a block must say it. A call is over when something else follows
and its arguments are a closed JSON value, or when the answer ends. So text and reasoning close as soon as something
else comes; a call whose arguments are still open does not, and what comes meanwhile (another call whose deltas
interleave, text) waits behind it, in the order in which it began, until the call closes. In a stream whose calls come
one after the other nothing ever waits. What may wait is at most the rest of the message.

A call is `complete` if its arguments are a JSON object. One without any arguments at the end of an answer that was
not cut gets `{}`. A call that was cut keeps what came: half an object, which is no JSON.
"""

from __future__ import annotations

import json
import re
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from .pieces import Piece

__all__ = ["Block", "Blocks", "Step"]

_OUTSIDE = re.compile(r'["{}\[\]]')
_INSIDE = re.compile(r'["\\]')
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[^u])", re.DOTALL)
_HALF_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?\Z")


@dataclass(slots=True, eq=False)
class Block:
    """A stretch of text or reasoning, or a call, with all that came of it so far.

    `complete` is known once it is closed: the answer went on behind it, or ended there by itself; a call is complete
    if its arguments are a JSON object.
    """

    kind: Literal["text", "reasoning", "call"]
    call: int | None = None
    id: str = ""
    name: str = ""
    complete: bool = False
    parts: list[str] = field(default_factory=list)
    logprobs: list[Any] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What came of it: the text, or the arguments."""
        return "".join(self.parts)

    def arguments(self) -> dict[str, Any] | None:
        """A call's arguments, or None if they are no JSON object."""
        try:
            value = json.loads(self.text, parse_constant=_refuse)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


class Step(NamedTuple):
    """What happens to a block: it opens, grows by `text` (never empty), or closes."""

    kind: Literal["open", "more", "close"]
    block: Block
    text: str = ""
    logprobs: list[Any] | None = None


class Blocks:
    """Makes steps of pieces. `all` lists the blocks that were opened, in order."""

    def __init__(self) -> None:
        self.all: list[Block] = []
        self._open: Block | None = None
        self._waiting: deque[tuple[Block, list[Piece]]] = deque()
        self._waiting_calls: dict[int, list[Piece]] = {}
        self._scan = _Arguments()
        self._closed_calls: set[int] = set()

    def feed(self, piece: Piece) -> list[Step]:
        """The steps that a piece leads to.

        Raises nothing; arguments that follow a call which was closed already are passed over, since its JSON is over.
        """
        steps: list[Step] = []
        current = self._open
        if current is not None and _belongs(piece, current):
            self._grow(current, piece, steps)
            self._go_on(steps)
        elif piece.call is None or piece.call not in self._closed_calls:
            self._wait(piece)
            self._go_on(steps)
        return steps

    def end(self, cut: bool) -> list[Step]:
        """The steps that close everything. `cut` says that the answer was cut off, by its length or an error."""
        steps: list[Step] = []
        while self._open is not None or self._waiting:
            if self._open is not None:
                self._close(self._open, steps, last=not self._waiting, cut=cut)
            if self._waiting:
                self._begin(steps)
        return steps

    def _wait(self, piece: Piece) -> None:
        if piece.call is not None:
            pieces = self._waiting_calls.get(piece.call)
        else:  # text only goes on where it is the last
            last = self._waiting[-1] if self._waiting else None
            pieces = last[1] if last is not None and _belongs(piece, last[0]) else None
        if pieces is not None:
            pieces.append(piece)
            return
        pieces = [piece]
        self._waiting.append((Block(piece.kind, piece.call, piece.id or "", piece.name or ""), pieces))
        if piece.call is not None:
            self._waiting_calls[piece.call] = pieces

    def _go_on(self, steps: list[Step]) -> None:
        """Close what is over and begin what waits, until a call is open that is not over."""
        while self._waiting:
            if self._open is not None:
                if self._open.kind == "call" and not self._scan.over:
                    return
                self._close(self._open, steps)
            self._begin(steps)

    def _begin(self, steps: list[Step]) -> None:
        block, pieces = self._waiting.popleft()
        if block.call is not None:
            del self._waiting_calls[block.call]
        self._open, self._scan = block, _Arguments()
        self.all.append(block)
        steps.append(Step("open", block))
        for piece in pieces:
            self._grow(block, piece, steps)

    def _grow(self, block: Block, piece: Piece, steps: list[Step]) -> None:
        text = self._scan.feed(piece.text) if block.kind == "call" else piece.text
        if text:
            block.parts.append(text)
            block.logprobs += piece.logprobs or ()
            steps.append(Step("more", block, text, piece.logprobs))

    def _close(self, block: Block, steps: list[Step], last: bool = False, cut: bool = False) -> None:
        if block.kind == "call":
            rest = self._scan.rest()
            if not rest and not block.parts and not (cut and last):
                rest = "{}"
            if rest:
                block.parts.append(rest)
                steps.append(Step("more", block, rest))
            block.complete = block.arguments() is not None
            if block.call is not None:
                self._closed_calls.add(block.call)
        else:
            block.complete = not (last and cut)
        self._open = None
        steps.append(Step("close", block))


def _belongs(piece: Piece, block: Block) -> bool:
    return piece.call == block.call if piece.call is not None else piece.kind == block.kind


class _Arguments:
    """Watches a call's arguments: `over` once the JSON value is closed.

    Gives the text on with its escapes whole, since clients parse what they have after each delta; the escape of half
    a surrogate pair becomes that of U+FFFD: the JSON readers of Anthropic's SDK and of Rust refuse a lone half, and
    the whole call with it.
    """

    __slots__ = ("_depth", "_held", "_in_string", "over")

    def __init__(self) -> None:
        self.over = False
        self._depth = 0
        self._in_string = False
        self._held = ""

    def feed(self, text: str) -> str:
        text = self._held + text
        self._held = ""
        if "\\" in text:
            text = self._escapes(text)
        self._scan(text)
        return text

    def rest(self) -> str:
        """What was held back: the beginning of an escape that never ended."""
        held, self._held = self._held, ""
        return held

    def _escapes(self, text: str) -> str:
        out: list[str] = []
        end = 0  # of what was given out
        half: re.Match[str] | None = (
            None  # an escaped first half, just before `end`, that waits for its second
        )
        for found in _ESCAPE.finditer(text):
            code = int(found[1], 16) if found[1] else 0
            if half is not None:
                paired = found.start() == half.end() and 0xDC00 <= code < 0xE000
                out.append(half[0] + found[0] if paired else "\\ufffd")
                half = None
                if paired:
                    end = found.end()
                    continue
            out.append(text[end : found.start()])
            end = found.end()
            if 0xD800 <= code < 0xDC00:
                half = found
            else:
                out.append("\\ufffd" if 0xDC00 <= code < 0xE000 else found[0])
        tail = text[end:]
        cut = _HALF_ESCAPE.search(tail)
        if half is not None:
            if tail and not (cut and cut.start() == 0):
                out.append("\\ufffd")
            else:
                self._held, tail, cut = half[0] + tail, "", None
        if cut:
            self._held, tail = tail[cut.start() :], tail[: cut.start()]
        return "".join(out) + tail

    def _scan(self, text: str) -> None:
        at = 0
        while found := (_INSIDE if self._in_string else _OUTSIDE).search(text, at):
            at = found.end()
            sign = found[0]
            if sign == '"':
                self._in_string = not self._in_string
            elif sign == "\\":
                at += 1  # escapes come whole
            elif sign in "{[":
                self._depth += 1
            else:
                self._depth -= 1
                self.over = self.over or self._depth <= 0

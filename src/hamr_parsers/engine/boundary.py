"""What stops an argument reader: the markers that may stand behind its value.

Theory. A JSON reader knows where its value ends, unless the model forgot a closer. Then only the family's
markers tell: `{"a": 1</tool_call>`. A `Boundary` answers a reader's two questions from the node behind the
value. Between tokens any marker that may come next ends the value (`at`). Inside a string a marker is data,
except behind a raw newline, which no JSON string may hold: there the string ended if a closer stands, and
behind it what may follow a closer (`ends_string`). Answers need more text at times (None), and are settled
within `WINDOW` characters.
"""

from __future__ import annotations

from typing import Final

from .automaton import MORE
from .table import TURN_ENDS, Node

__all__ = ["WINDOW", "Boundary"]

WINDOW: Final = 64
"""How many characters a decision may look ahead over."""


class Boundary:
    """The markers behind a reader's value. `terminal` is the reader's, `node` where it stands."""

    __slots__ = ("_after", "first", "node", "terminal")

    def __init__(self, node: Node, terminal: str) -> None:
        edge = node.shift(terminal)
        assert edge is not None
        self.node = node
        self.terminal = terminal
        self._after = edge.target
        self.first = edge.target.stop_scan.first

    def __reduce__(self) -> tuple[object, ...]:
        return (boundary, (self.node, self.terminal))

    def __deepcopy__(self, memo: object) -> Boundary:
        return self

    def at(self, text: str, pos: int, final: bool) -> bool | None:
        """Whether a marker that ends the call stands at `text[pos]`."""
        found = self._after.stop_scan.automaton.match(text, pos, final)
        return None if found is MORE else found is not None

    def ends_turn(self, text: str, pos: int) -> bool:
        """Whether the marker at `text[pos]` is the end of the turn, which closes nothing."""
        found = self._after.stop_scan.automaton.match(text, pos, True)
        return isinstance(found, tuple) and found[0] in TURN_ENDS

    def ends_string(self, text: str, pos: int, final: bool) -> bool | None:
        """Whether the raw newline at `text[pos]` ends a string whose quote is missing."""
        end = len(text)
        limit = pos + WINDOW
        here = self._blanks(text, pos, limit)
        if here >= limit:
            return False
        if here == end:
            return None if not final else False
        scan = self._after.stop_scan
        found = scan.automaton.match(text, here, final)
        if found is MORE:
            return None
        if not isinstance(found, tuple):
            return False
        if not self._after.has_closers:
            return True
        if not found[0].startswith("END_"):
            return False
        after = here = found[1]
        here = self._blanks(text, here, after + WINDOW)
        if here >= after + WINDOW:
            return False
        if here == end:
            return True if final else None
        found = self._after.follow_scan.automaton.match(text, here, final)
        return None if found is MORE else isinstance(found, tuple)

    @staticmethod
    def _blanks(text: str, pos: int, limit: int) -> int:
        limit = min(limit, len(text))
        while pos < limit and text[pos].isspace():
            pos += 1
        return pos


def boundary(node: Node, terminal: str) -> Boundary:
    """The boundary of a reader at a place; made once."""
    found = node.boundaries.get(terminal)
    if found is None:
        found = node.boundaries[terminal] = Boundary(node, terminal)
    return found

"""What the readers of one call's arguments share, but for that of raw JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..events import Diagnostic

if TYPE_CHECKING:
    from .json_mend import Boundary
    from .schema import ToolSchema

__all__ = ["ArgumentsReader"]


class ArgumentsReader:
    """Reads one call's arguments; what it gives out is the text of a JSON object.

    Args:
        boundary: knows the markers that may end the call although its closer is missing; None: there are none.
        max_depth: of nested brackets, the outer one included; beyond it the call ends, cut.
        schema: the tool: types, and names of arguments that have none.
        max_held: characters; if more cannot be given out, the call ends, cut.

    The attributes and methods are those of every reader: `feed`, `fast`, `out`, `done`, `cut`, `closing`, `base`,
    `recovered`, `held`.
    """

    node = None  # no interned lexical nodes here: the engine asks `fast` about every chunk

    __slots__ = (
        "_boundary", "_first", "_max_depth", "_max_held", "_schema",
        "base", "closing", "cut", "done", "out", "recovered",
    )  # fmt: skip

    def __init__(
        self, boundary: Boundary | None, max_depth: int, schema: ToolSchema | None, max_held: int
    ) -> None:
        self.out: list[str | Diagnostic] = []
        self.done = self.cut = self.recovered = False
        self.closing = ""
        self.base = 0
        self._boundary = boundary
        self._first = "" if boundary is None else boundary.first
        self._max_depth = max_depth
        self._max_held = max_held
        self._schema = schema

    def _tell(self, code: str, message: str, start: int, end: int) -> None:
        self.recovered = True
        self.out.append(Diagnostic(code, message, self.base + start, self.base + end))

    def _marker(self, text: str, pos: int, final: bool) -> bool | None:
        """Whether a marker that ends the call stands at `pos`; None: more text is needed."""
        if self._boundary is None or text[pos] not in self._first:
            return False
        found = self._boundary.at(text, pos, final)
        return False if found is None and final else found

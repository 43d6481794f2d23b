"""The call that is being read: its name and ids, and its arguments as they become JSON.

Theory. Arguments come from a reader (raw JSON, Python), which gives whole JSON text, or member by member (tagged formats),
where this module writes the braces, keys and commas around the values. A key is written with the first character of its
value, so that a cut call never ends in a key; what was given out is a prefix of a JSON object at any time.
"""

from __future__ import annotations

from ..arguments.tagged import TextValue, escape
from ..events import Diagnostic

__all__ = ["OpenCall"]


class OpenCall:
    """A call from its name to its end. Not announced yet as long as `index` is -1."""

    __slots__ = (
        "call_id",
        "diagnostics",
        "index",
        "key",
        "keys",
        "members",
        "name",
        "pieces",
        "recovered",
        "source_id",
        "streamed",
        "value",
    )

    def __init__(self) -> None:
        self.index = -1
        self.name = ""
        self.call_id: str | None = None
        self.source_id: str | None = None
        self.key: str | None = None  # of the member whose value has not given anything yet
        self.keys: set[str] = set()
        self.members = 0
        self.value: TextValue | None = None
        self.pieces: list[str] = []
        self.streamed = 0  # characters of arguments that were given out, where the pieces are not kept
        self.diagnostics: list[Diagnostic] = []
        self.recovered = False

    def opening(self) -> str:
        """What stands before the first character of the current member's value."""
        assert self.key is not None
        text = f'{"," if self.members else "{"}{" " if self.members else ""}"{escape(self.key)}": '
        self.members += 1
        self.key = None
        return text

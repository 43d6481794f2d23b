"""Calls as members of a JSON object: the key is the tool's name, the value its arguments.

Theory. `{"get_weather": {"city": "Bern"}}` is `JsonCallReader` with the name at hand before anything else: the first
key is the name, and what follows it is read as arguments. An object of the ordinary kind (`{"name": ..., "arguments":
...}`) is read as one; a key of those is a tool's name only where an object follows that no ordinary call has there, or
where it is the only one.

Several members are several calls. A reader reads one call, so it ends before the value of the next member (`again`),
if an object begins there, and `proceed` makes it read on as that call's; any other member is skipped with a
diagnostic.
"""

from __future__ import annotations

import re
from typing import Final

from ..events import Diagnostic
from .json_ahead import BLANKS
from .json_call import ARGUMENTS, IDS, IGNORED, NAMES, JsonCallReader
from .json_mend import Boundary
from .json_nodes import past
from .object_reader import LONE_HALF

__all__ = ["KeyedCallReader"]

_ORDINARY: Final = NAMES | ARGUMENTS | IDS | IGNORED
_NAME: Final = re.compile(r"[^\s()\[\]{}<>\"'`,]{1,256}")


class KeyedCallReader(JsonCallReader):
    """Reads one call of an object whose keys are names.

    Args:
        boundary, max_depth, max_held: as for `JsonCallReader`.
        several: another call may follow in the same object.

    Attributes:
        again: the reader is done, but its object holds another call, for which `proceed` prepares it.
        key_at: offset of that call's key.
    """

    __slots__ = ("_form", "_lone", "again", "key_at", "several")

    def __init__(
        self,
        boundary: Boundary | None = None,
        max_depth: int = 200,
        max_held: int = 1 << 20,
        several: bool = True,
    ) -> None:
        super().__init__(boundary, max_depth, max_held=max_held)
        self.several = several
        self.again = False
        self.key_at = 0
        self._form = ""  # "" undecided, "keyed", "ordinary"
        self._lone: tuple[str, int] | None = None  # the only key so far, if it is one of an ordinary call

    def proceed(self) -> None:
        """Read on: the next member is a call of its own."""
        self.again = self.done = False
        self.status = "more"
        self.name = self.source_id = self.call_id = None
        self.enough = self.arguments_done = self.recovered = False
        self.marks = []
        self.out.clear()
        self._announced = self._given = False
        self._read = 0
        self._take_name()

    def _at_key(self, pos: int) -> int:
        first = self._form == ""
        self._lone = None
        if self._form == "ordinary":
            return super()._at_key(pos)
        self._hold.clear()
        self._capture = None
        self.key_at = self._key_from + (0 if self._unquoted() else 1)
        if not first:
            self._phase = "further"
        elif self.key in _ORDINARY:
            self._phase = "either"
        elif _is_name(self.key):
            self._take_name()
        else:
            return self._fail("no name has blanks, quotes or brackets", pos)
        return pos

    def _unquoted(self) -> bool:
        """Whether the key stood without quotes."""
        notes = (d for d in (*self.out, *self._buffer) if isinstance(d, Diagnostic))
        return any(d.code == "unquoted-key" and d.start == self._key_from for d in notes)

    def _take_name(self) -> None:
        self._form = "keyed"
        self.name = self.key
        self.has_arguments = True
        self.keyless = ""
        self.marks.append(("name", self.key_at, self.key_at + len(self.key)))
        self._phase = "before"

    def _in_either(self, text: str, pos: int, final: bool) -> int:
        """Behind a key of an ordinary call: a name there is a string."""
        pos = past(BLANKS, text, pos)
        if pos == len(text) and not final:
            return pos
        if text[pos : pos + 1] == "{" and self.key in NAMES and self.key != "function":
            self._take_name()
            return pos
        self._form = "ordinary"
        pos = super()._at_key(pos)
        if self.key in ARGUMENTS:
            self._lone = (self.key, self.key_at)
        return pos

    def _in_further(self, text: str, pos: int, final: bool) -> int:
        """Behind another key: a call of its own, if an object follows."""
        pos = past(BLANKS, text, pos)
        if pos == len(text) and not final:
            return pos
        if self.several and text[pos : pos + 1] == "{" and _is_name(self.key):
            self.again = self.done = True
            self.status = "done"
            return pos
        self._note("extra-key", f"{self.key!r} is no call", self._key_from - self.base, pos)
        self._phase = "value"
        return pos

    def _in_before(self, text: str, pos: int, final: bool) -> int:
        if self._form != "keyed":
            return super()._in_before(text, pos, final)
        self._given = True  # no other key brings arguments in place of null
        pos = super()._in_before(text, pos, final)
        self._given = False
        return pos

    def _object_ended(self, pos: int) -> int:
        if self.name is None and self._lone is not None and not self.cut:
            self.name, at = self._lone
            self.marks.append(("name", at, at + len(self.name)))
        return super()._object_ended(pos)


def _is_name(key: str) -> bool:
    return _NAME.fullmatch(key) is not None and not LONE_HALF.search(key)

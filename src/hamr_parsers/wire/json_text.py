"""Where a growing JSON text stands: inside a string, at a place for a value, behind its end.

Not a validator: brackets and quotes are all that is looked at, once, each piece as it comes. That is enough to tell
whether an object is over, and whether its beginning could legally come again (native.py).
"""

from __future__ import annotations

import json
import re

__all__ = ["JsonText", "is_object"]

_OUTSIDE = re.compile(r'[{}\[\]"]')
_INSIDE = re.compile(r'["\\]')
_BLANKS = " \t\r\n"


class JsonText:
    """One JSON text, fed in pieces.

    Attributes:
        begun: something other than blanks came.
        done: the outermost bracket is closed.
        in_string: the next character stands in a string.
    """

    __slots__ = ("_depth", "_escape", "_last", "begun", "done", "in_string")

    def __init__(self) -> None:
        self.begun = False
        self.done = False
        self.in_string = False
        self._depth = 0
        self._escape = False
        self._last = ""

    @property
    def awaits_value(self) -> bool:
        """Whether a value may come next, and so an object that looks like the beginning of the text."""
        return not self.in_string and self._last in (":", "[", ",")

    def copy(self) -> JsonText:
        """Another one at the same place."""
        new = JsonText()
        for name in JsonText.__slots__:
            setattr(new, name, getattr(self, name))
        return new

    def feed(self, text: str) -> int:
        """Read on; returns how much of `text` belongs to the value: all of it, but for what stands behind its end."""
        at, end = 0, len(text)
        while at < end:
            if self.in_string:
                if self._escape:
                    self._escape = False
                    at += 1
                    continue
                found = _INSIDE.search(text, at)
                if found is None:
                    return end
                at = found.end()
                if found[0] == "\\":
                    self._escape = True
                else:
                    self.in_string = False
                    self._last = '"'
                continue
            if self.done:
                return at
            found = _OUTSIDE.search(text, at)
            stop = end if found is None else found.start()
            between = text[at:stop].rstrip(_BLANKS)
            if between:
                self.begun = True
                self._last = between[-1]
            if found is None:
                return end
            at = found.end()
            mark = found[0]
            self.begun = True
            self._last = mark
            if mark == '"':
                self.in_string = True
            elif mark in "{[":
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth <= 0:
                    self.done = True
        return end


def is_object(text: str) -> bool:
    """Whether a text is one whole JSON object."""
    try:
        return text.rstrip().endswith("}") and isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False

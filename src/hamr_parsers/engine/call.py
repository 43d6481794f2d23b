"""The call that is being read: its name and ids, and its arguments as they become JSON.

Theory. Arguments come from a reader (raw JSON, Python), which gives whole JSON text, or member by member
(tagged formats), where this module writes the braces, keys and commas around the values. A key is written
with the first character of its value, so that a cut call never ends in a key; what was given out is a prefix
of a JSON object at any time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..arguments.tagged import TextValue, escape
from ..events import Diagnostic

__all__ = ["OpenCall"]


def unescaped_length(text: str) -> int:
    """How many characters the content of a JSON string stands for, as `escape` writes it."""
    text = text.replace("\\\\", "_")
    return len(text) - text.count("\\") - 4 * text.count("\\u")


CHECKED: Final = 1 << 16
"""Characters of arguments that are looked through for duplicate keys when they are complete; not more."""


class Tally(list[str]):
    """In place of the pieces where nothing is collected: counts the characters, and keeps none of a long argument."""

    __slots__ = ("characters", "kept", "surplus")

    def __init__(self) -> None:
        super().__init__()
        self.characters = 0
        self.kept: list[str] = []
        self.surplus = 0  # characters that escaping added

    def append(self, text: str) -> None:
        self.characters += len(text)
        if self.characters <= CHECKED:
            self.kept.append(text)
        else:
            self.kept.clear()
        if "\\" in text:
            self.surplus += len(text) - unescaped_length(text)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Tally, (), (self.characters, self.kept, self.surplus))

    def __setstate__(self, state: tuple[int, list[str], int]) -> None:
        self.characters, self.kept, self.surplus = state

    def __deepcopy__(self, memo: object) -> Tally:
        new = Tally()
        new.__setstate__((self.characters, [*self.kept], self.surplus))
        return new


class OpenCall:
    """A call from its name to its end. Not announced yet as long as `index` is -1."""

    __slots__ = (
        "at",
        "call_id",
        "depth",
        "diagnostics",
        "framed",
        "index",
        "inside",
        "key",
        "key_at",
        "keys",
        "levels",
        "members",
        "name",
        "path",
        "pieces",
        "recovered",
        "sealed",
        "silent",
        "source_id",
        "unwraps",
        "value",
        "value_text",
    )

    def __init__(self, collect: bool) -> None:
        self.index = -1
        self.name = ""
        self.depth = 0  # of the stack where the call began
        self.at = 0  # offset of the name
        self.key_at = 0  # offset of the key
        self.call_id: str | None = None
        self.source_id: str | None = None
        self.key: str | None = None  # of the member whose value has not given anything yet
        self.keys: set[str] = set()
        self.members = 0  # of the innermost container
        self.path: list[str] = []  # the keys of the members that are open, where members nest
        self.levels: list[
            tuple[str, int]
        ] = []  # for each that holds members: its closing bracket, members around it
        self.framed = False  # a line break frames the current member's value
        self.value_text = False  # any of it was read
        self.value: TextValue | None = None
        # whether the current value is an object that holds the arguments themselves (None: not known yet): then
        # its first brace is not given out, nor its last
        self.unwraps: bool | None = False
        self.inside = False  # its first brace was read
        self.pieces: list[str] = [] if collect else Tally()
        self.diagnostics: list[Diagnostic] = []
        self.recovered = False
        self.silent = False  # it says that no tool is called: nothing of it is given out
        self.sealed = False  # a reader gave all of the arguments, to their end

    def compact(self) -> None:
        """Join the pieces."""
        self.pieces[:] = ["".join(self.pieces)]

    def short_text(self) -> str:
        """The arguments so far, or "" if they are too long to be looked through."""
        pieces = self.pieces.kept if isinstance(self.pieces, Tally) else self.pieces
        text = "".join(pieces)
        return text if len(text) <= CHECKED else ""

    def mark(self) -> int:
        """Where in the pieces we are, for `since`."""
        pieces = self.pieces
        if isinstance(pieces, Tally):
            pieces.surplus = 0
            return pieces.characters
        return len(pieces)

    def since(self, mark: int, escaped: bool) -> int:
        """How many characters of the input the pieces since `mark` stand for (`escaped`: of a value's text)."""
        pieces = self.pieces
        if isinstance(pieces, Tally):
            return pieces.characters - mark - (pieces.surplus if escaped else 0)
        text = "".join(pieces[mark:])
        return unescaped_length(text) if escaped else len(text)

    def opening(self) -> str:
        """What stands before the first character of the current member's value."""
        key, self.key = self.key, None
        assert key is not None
        in_array = bool(self.levels) and self.levels[-1][0] == "]"
        text = ", " if self.members else "" if self.levels else "{"
        if not in_array:
            text += f'"{escape(key)}": '
        self.members += 1
        return text

    def open_member(self, key: str, is_array: Callable[[tuple[str, ...], str], bool]) -> str:
        """A nested member begins: returns what opens the one around it, if this is its first.

        Args:
            is_array: told the path of the member around and this key, whether that is an array.
        """
        text = ""
        if self.key is not None:
            array = is_array(tuple(self.path), key)
            text = self.opening() + ("[" if array else "{")
            self.levels.append(("]" if array else "}", self.members))
            self.members = 0
        self.path.append(key)
        self.key = key
        return text

    def close_member(self) -> str:
        """A nested member is over: returns its closing bracket, if it held members."""
        self.path.pop()
        if len(self.levels) > len(self.path) and self.levels:
            bracket, self.members = self.levels.pop()
            return bracket
        return ""

    def members_within(self, closer: str) -> int:
        """How many members are open within the one that a closer names (`</key>`); -1 if it names none."""
        name = closer.rpartition("/")[2].rstrip("> ")
        if name not in self.path:
            return -1
        return self.path[::-1].index(name)

    def closing(self) -> str:
        """What closes everything that is open."""
        brackets = "".join(bracket for bracket, _ in reversed(self.levels))
        return brackets + ("}" if self.members or self.levels else "{}")

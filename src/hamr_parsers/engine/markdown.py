"""Where in a Markdown text we are: at a line's start, in inline code, in a code fence.

Theory. Markup in code is talk about markup and no call, so the machine asks, at each marker in free text,
whether the marker stands in code. The state is moved over the text lazily, in pieces, only when that question
comes up. A run of backticks may be cut by a piece's end, so the last run is kept open until the next
character, or the question, closes it.

A JSON object that turned out to be no call is followed to its end as well (`enter_object`): what looks like a
call inside it is a part of it.

A fence opens and closes at a line's start (at most three blanks before it); inline code ends at its closing
run of the same length, or with its line.
"""

from __future__ import annotations

import re

__all__ = ["CodeState"]

_JSON = re.compile(r"""[{}\[\]"\n]|[^{}\[\]"\s]+""")
_STRING_END = re.compile(r"""[^"\\]*(?:\\.[^"\\]*)*("|\\?\Z)""", re.DOTALL)
_TOKEN = re.compile(r"\n|`+|[^\n`]+")


class CodeState:
    """The state after all text that was fed. All of it is plain data."""

    __slots__ = (
        "blank_only",
        "closing",
        "depth",
        "escaped",
        "fence",
        "fresh_line",
        "info",
        "inline",
        "opening",
        "quoted",
        "run",
    )

    def __init__(self) -> None:
        self.fence = 0  # length of the open fence, 0 outside
        self.info = ""  # the open fence's info string ("json", "python", ...), lower case
        self.inline = 0  # length of the run that opened inline code
        self.blank_only = 0  # blanks since the line's start; -1 once something else came
        self.opening = False  # within the opening line of a fence
        self.closing = False  # behind a run that may close the fence
        self.depth = 0  # of an object that is no call; 0 outside
        self.fresh_line = False  # only blanks since a newline in it
        self.quoted = self.escaped = False  # within one of its strings; behind a backslash there
        self.run = 0  # backticks at the end of what was fed

    def feed(self, text: str) -> None:
        """Move over `text`."""
        if self.depth:
            self._follow_object(text)
        for token in _TOKEN.findall(text):
            if token[0] == "`":
                self.run += len(token)
                continue
            if self.run:
                self._end_run()
            if token == "\n":
                if self.closing:
                    self.fence, self.info = 0, ""
                self.closing = self.opening = False
                self.inline = 0
                self.blank_only = 0
                continue
            blank = token.isspace()
            if self.opening:
                if len(self.info) < 64:
                    self.info += token[:64].strip().lower()
            elif self.closing and not blank:
                self.closing = False
            if self.blank_only >= 0:
                self.blank_only = self.blank_only + len(token) if blank else -1

    def _end_run(self) -> None:
        length, self.run = self.run, 0
        at_start = 0 <= self.blank_only <= 3
        self.blank_only = -1
        if self.opening:  # backticks in an info string: it was inline code
            self.opening, self.fence, self.info = False, 0, ""
            return
        if self.fence:
            self.closing = at_start and length >= self.fence
        elif at_start and length >= 3:
            self.fence, self.info, self.opening = length, "", True
        elif self.inline == 0:
            self.inline = length
        elif self.inline == length:
            self.inline = 0

    def enter_object(self) -> None:
        """The next character is the brace of an object that is no call."""
        self.depth = 1
        self.quoted = self.escaped = self.fresh_line = False

    def _follow_object(self, text: str) -> None:
        """Count brackets outside strings. `depth` is one more than what is open, so that the first brace can come."""
        at = 0
        while self.depth:
            if self.quoted:
                if self.escaped and at < len(text):
                    self.escaped = False
                    at += 1
                end = _STRING_END.match(text, at)
                assert end is not None
                at = end.end()
                self.quoted = end[1] != '"'
                self.escaped = end[1] == "\\"
                if self.quoted:
                    return
            found = _JSON.search(text, at)
            if found is None:
                return
            at = found.end()
            token = found[0]
            if token == "\n":
                if self.fresh_line:
                    self.depth = 0  # a blank line: prose goes on
                self.fresh_line = True
                continue
            self.fresh_line = False
            if token == '"':
                self.quoted = True
            elif token in "{[":
                self.depth += 1
            elif token in "}]":
                self.depth -= 1
                if self.depth <= 1:
                    self.depth = 0

    def in_code(self) -> bool:
        """Whether the next character stands in inline code or in a fence."""
        if self.run:
            self._end_run()
        return bool(self.inline or self.fence)

    def at_line_start(self) -> bool:
        """Whether only blanks (at most three) stand before the next character on its line."""
        return not self.run and 0 <= self.blank_only <= 3

    def fence_may_open(self) -> bool:
        """Whether three backticks here would open a fence."""
        return not self.fence and self.at_line_start()

    def copy(self) -> CodeState:
        """An independent copy."""
        new = CodeState()
        for name in self.__slots__:
            setattr(new, name, getattr(self, name))
        return new

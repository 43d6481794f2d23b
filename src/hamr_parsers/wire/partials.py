"""Text of one field of a stream, as deltas: cumulative partials undone, split surrogate pairs joined.

Theory. Some gateways repeat in each chunk all that came so far. Nothing says so, but then each chunk begins with
the one before it. One such pair proves nothing (`ha`, `haha`; `\\n`, `\\n\\n`), so what may be either is held until
the chunks show what they are: two in a row that grow, of at least four different characters, are cumulative; the
first that does not begin with its predecessor says that all are deltas, for good. Since few streams begin with a
chunk that repeats, nearly all are decided at their second chunk, and nothing was held.

JSON escapes one half of a surrogate pair at a time, and servers that cut by tokens send the halves in two chunks.
A first half waits for its other; one that has none becomes U+FFFD, as no UTF-8 can hold it.
"""

from __future__ import annotations

import re

__all__ = ["Partials", "join_surrogates"]

_SURROGATE = re.compile("[\ud800-\udfff]")
_DISTINCT = 4  # different characters that a repeated beginning must have to be no accident

_FIRST, _ONE, _MAYBE, _DELTAS, _CUMULATIVE = range(5)


class Partials:
    """One field of one choice. `feed` gives the delta that a chunk's text stands for."""

    __slots__ = ("_half", "_held", "_so_far", "_state")

    def __init__(self) -> None:
        self._state = _FIRST
        self._so_far = ""  # the chunk before; cumulative: all text so far
        self._held: list[str] = []  # chunks that may be either
        self._half = ""  # first half of a surrogate pair

    @property
    def decided(self) -> bool:
        """Whether the chunks are deltas and nothing is held."""
        return self._state == _DELTAS and not self._half

    @property
    def cumulative(self) -> bool:
        """Whether the chunks repeat what came before."""
        return self._state == _CUMULATIVE

    def feed(self, text: str) -> str:
        """The new text in `text`."""
        if self._half:
            before = self._held[-1] if self._held else self._so_far
            if not before or not text.startswith(before):  # where all comes again, so does the half
                text = self._half + text
            self._half = ""
        if not text.isascii():
            text, self._half = join_surrogates(text)
        if self._state == _DELTAS or not text:
            return text
        return self._decide(text)

    def close(self) -> str:
        """No more chunks: what was held."""
        text = "\ufffd" if self._half else ""
        self._half = ""
        if self._state != _MAYBE:
            return text
        held, self._state = self._held, _DELTAS
        last = held[-1]
        if _says_much(self._so_far):
            return last[len(self._so_far) :] + text
        return "".join(held) + text

    def _decide(self, text: str) -> str:
        so_far = self._so_far
        if self._state == _CUMULATIVE:
            if text.startswith(so_far):
                self._so_far = text
                return text[len(so_far) :]
            if so_far.startswith(text):  # an older state again
                return ""
            self._so_far = so_far + text
            return text
        if self._state == _FIRST:
            self._so_far, self._state = text, _ONE
            return text
        if self._state == _ONE:
            if len(text) > len(so_far) and text.startswith(so_far):
                self._held, self._state = [text], _MAYBE
                return ""
            self._state, self._so_far = _DELTAS, ""
            return text
        held = self._held
        if len(text) >= len(held[-1]) and text.startswith(held[-1]):
            held.append(text)
            if not _says_much(held[-2]):
                return ""
            self._state, self._so_far, self._held = _CUMULATIVE, text, []
            return text[len(so_far) :]
        self._state, self._so_far, self._held = _DELTAS, "", []
        return "".join(held) + text


def _says_much(text: str) -> bool:
    """Whether a text is of so many different characters, blanks aside, that it does not come twice by accident."""
    return len(set("".join(text.split()))) >= _DISTINCT


def join_surrogates(text: str) -> tuple[str, str]:
    """The text with its surrogate pairs joined and lone halves replaced; and a first half at its end, which waits."""
    if _SURROGATE.search(text) is None:
        return text, ""
    half = ""
    if "\ud800" <= text[-1] <= "\udbff":
        half, text = text[-1], text[:-1]
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"), half

"""Marker patterns as automata: find a marker, or know that more text is needed.

Theory. The scanner asks one question again and again: of the markers that may stand here, which one does, and
could it still become a longer or another one? `re` cannot answer the second half and `regex`'s partial
matching answers it only for the alternative that it happens to be in. So the patterns of a set of terminals
are compiled here into one deterministic automaton, built lazily, state by state, as text is met. A walk over
it ends in one of three ways: dead (the longest match seen so far counts), out of text in a state that has a
way on (`MORE`: the characters since the start are held), or out of text for good.

Patterns are the literals and regexes of a grammar's terminals. They are bounded: every pattern has a longest
match, so what is held is bounded as well, and a walk costs a bounded number of steps. A pattern that holds a lazy
repetition (`.{0,64}?`) is over at its first match; any other goes on to its longest.

`prefix_pattern` gives a plain `re` that finds places where a walk is worth while: it spells the first
characters of every marker and accepts the end of the text in the middle of them. It is what runs over prose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from re import _constants as sre
from re import _parser as sre_parse
from typing import Any, Final

from ..errors import GrammarError

__all__ = ["MAX_MARKER", "MORE", "Automaton", "More", "parse_pattern"]

MAX_MARKER: Final = 160
"""The longest match that a terminal's pattern may have, in characters."""


class More(Enum):
    """The type of `MORE`: the text ended where a marker may still go on."""

    MORE = "more"


MORE: Final = More.MORE

_WIDE: Final = 48  # characters; what may go on in more ways is not spelled out in a search pattern

CharSet = tuple[bool, frozenset[str], tuple[Any, ...]]  # negated, characters, (ranges and categories)

_CATEGORIES: dict[Any, Callable[[str], bool]] = {
    sre.CATEGORY_DIGIT: str.isdigit,
    sre.CATEGORY_SPACE: str.isspace,
    sre.CATEGORY_WORD: lambda c: c.isalnum() or c == "_",
    sre.CATEGORY_NOT_DIGIT: lambda c: not c.isdigit(),
    sre.CATEGORY_NOT_SPACE: lambda c: not c.isspace(),
    sre.CATEGORY_NOT_WORD: lambda c: not (c.isalnum() or c == "_"),
}


def _in_set(charset: CharSet, ch: str) -> bool:
    negated, chars, others = charset
    if ch in chars:
        return not negated
    for kind, arg in others:
        if (kind is sre.RANGE and arg[0] <= ord(ch) <= arg[1]) or (
            kind is sre.CATEGORY and _CATEGORIES[arg](ch)
        ):
            return not negated
    return negated


def _enumerate(charset: CharSet) -> set[str] | None:
    """The characters of a small, positive set; None if it is negated or wide."""
    negated, chars, others = charset
    if negated:
        return None
    out = set(chars)
    for kind, arg in others:
        if kind is not sre.RANGE or arg[1] - arg[0] > 64:
            return None
        out.update(map(chr, range(arg[0], arg[1] + 1)))
    return out


class _Nfa:
    """Thompson's construction. A node has free moves, at most one moving charset, and perhaps a terminal."""

    def __init__(self) -> None:
        self.free: list[list[int]] = []
        self.move: list[tuple[CharSet, int] | None] = []
        self.accept: list[str | None] = []

    def node(self) -> int:
        self.free.append([])
        self.move.append(None)
        self.accept.append(None)
        return len(self.free) - 1

    def add(self, parsed: Any, start: int, ignore_case: bool) -> int:
        """Append a parsed pattern behind node `start`; return its end node."""
        here = start
        for op, arg in parsed:
            if op is sre.LITERAL or op is sre.NOT_LITERAL:
                chars = {chr(arg)}
                if ignore_case:
                    chars |= {chr(arg).lower(), chr(arg).upper()}
                here = self._step(here, (op is sre.NOT_LITERAL, frozenset(chars), ()))
            elif op is sre.ANY:
                here = self._step(here, (True, frozenset("\n"), ()))
            elif op is sre.IN:
                items = list(arg)
                negated = bool(items) and items[0][0] is sre.NEGATE
                items = items[negated:]
                chars = {chr(a) for o, a in items if o is sre.LITERAL}
                if ignore_case:
                    chars |= {c.lower() for c in chars} | {c.upper() for c in chars}
                others = tuple((o, a) for o, a in items if o is not sre.LITERAL)
                here = self._step(here, (negated, frozenset(chars), others))
            elif op is sre.SUBPATTERN:
                here = self.add(arg[3], here, ignore_case)
            elif op is sre.BRANCH:
                end = self.node()
                for branch in arg[1]:
                    first = self.node()
                    self.free[here].append(first)
                    self.free[self.add(branch, first, ignore_case)].append(end)
                here = end
            elif op in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
                least, most, body = arg
                end = self.node()
                for count in range(most):
                    if count >= least:
                        self.free[here].append(end)
                    here = self.add(body, here, ignore_case)
                self.free[here].append(end)
                here = end
            else:
                raise ValueError(f"{str(op).lower()} is not supported in a marker")
        return here

    def _step(self, here: int, charset: CharSet) -> int:
        if self.move[here] is not None:
            fresh = self.node()
            self.free[here].append(fresh)
            here = fresh
        then = self.node()
        self.move[here] = (charset, then)
        return then

    def closure(self, nodes: Iterable[int]) -> frozenset[int]:
        todo = list(nodes)
        seen = set(todo)
        while todo:
            for n in self.free[todo.pop()]:
                if n not in seen:
                    seen.add(n)
                    todo.append(n)
        return frozenset(n for n in seen if self.move[n] is not None or self.accept[n] is not None)


def parse_pattern(
    name: str, pattern: str, flags: Iterable[str] = (), checked: bool = False
) -> tuple[Any, bool]:
    """Parse a terminal's regex; returns (parsed, ignore case).

    Args:
        checked: it was parsed before, when its grammar was compiled, and is known to be right.

    Raises:
        GrammarError: it is not a regex, uses what a marker may not (look-around, back-references), can be
            empty or has no longest match within `MAX_MARKER`.
    """
    try:
        parsed = sre_parse.parse(pattern)
        ignore_case = "i" in flags or bool(parsed.state.flags & re.IGNORECASE)
        if checked:
            return parsed, ignore_case
        low, high = parsed.getwidth()
    except re.error as e:
        raise GrammarError(f"terminal {name}: {pattern!r} is not a regex: {e}") from None
    if low == 0 or high > MAX_MARKER:
        raise GrammarError(f"terminal {name}: {pattern!r} must match between 1 and {MAX_MARKER} characters")
    try:
        probe = _Nfa()
        probe.add(parsed, probe.node(), ignore_case)
    except ValueError as e:
        raise GrammarError(f"terminal {name}: {e}") from None
    return parsed, ignore_case


def _is_lazy(parsed: Any) -> bool:
    for op, arg in parsed:
        if op is sre.MIN_REPEAT:
            return True
        inner = arg[1] if op is sre.BRANCH else [arg[3]] if op is sre.SUBPATTERN else []
        inner = [arg[2]] if op in (sre.MAX_REPEAT, sre.POSSESSIVE_REPEAT) else inner
        if any(map(_is_lazy, inner)):
            return True
    return False


class _State(dict[str, "_State | None"]):
    """One state: the next state by character, computed when first asked for."""

    __slots__ = ("accept", "alive", "automaton", "nodes")

    def __init__(self, automaton: Automaton, nodes: frozenset[int]) -> None:
        super().__init__()
        nfa = automaton.nfa
        self.automaton = automaton
        self.nodes = nodes
        self.alive = any(nfa.move[n] is not None for n in nodes)
        terms = [t for n in nodes if (t := nfa.accept[n]) is not None]
        self.accept = min(terms, key=automaton.rank.__getitem__) if terms else None

    def __missing__(self, ch: str) -> _State | None:
        nfa = self.automaton.nfa
        hit = [m[1] for n in self.nodes if (m := nfa.move[n]) is not None and _in_set(m[0], ch)]
        nxt = self.automaton.state(nfa.closure(hit)) if hit else None
        if len(self) < 512:  # hostile text may bring every character there is
            self[ch] = nxt
        return nxt


class Automaton:
    """The automaton of a set of terminals. On a tie of lengths the terminal that was given first wins.

    Args:
        terminals: terminal name -> (parsed pattern, ignore case), as `parse_pattern` gives them.
    """

    __slots__ = ("first", "lazy", "nfa", "rank", "start", "states")

    def __init__(self, terminals: Mapping[str, tuple[Any, bool]]) -> None:
        self.nfa = _Nfa()
        self.rank = {name: i for i, name in enumerate(terminals)}
        self.states: dict[frozenset[int], _State] = {}
        self.lazy: dict[int, frozenset[int]] = {}  # the end of a lazy pattern -> what leads on from there
        root = self.nfa.node()
        for name, (parsed, ignore_case) in terminals.items():
            first = self.nfa.node()
            self.nfa.free[root].append(first)
            end = self.nfa.add(parsed, first, ignore_case)
            if self.nfa.accept[end] is not None or self.nfa.move[end] is not None:
                last = self.nfa.node()
                self.nfa.free[end].append(last)
                end = last
            self.nfa.accept[end] = name
            if _is_lazy(parsed):
                self.lazy[end] = frozenset(range(first, len(self.nfa.free))) - {end}
        self.start = self.state(self.nfa.closure([root]))
        self.first = "".join(sorted(self._chars(self.start) or ()))

    def state(self, nodes: frozenset[int]) -> _State:
        """The state of a set of nodes."""
        for end, rest in self.lazy.items():
            if end in nodes:
                nodes -= rest
        found = self.states.get(nodes)
        if found is None:
            found = self.states[nodes] = _State(self, nodes)
        return found

    def match(self, text: str, pos: int, final: bool) -> tuple[str, int] | More | None:
        """The longest marker at `text[pos:]` as (terminal, end); None if there is none; MORE if only more
        text tells.

        Args:
            final: no more text will come, so the longest match so far is the answer.
        """
        state: _State | None = self.start
        best = None
        end = len(text)
        while pos < end:
            assert state is not None
            state = state[text[pos]]
            if state is None:
                return best
            pos += 1
            if state.accept is not None:
                best = (state.accept, pos)
        assert state is not None
        return MORE if state.alive and not final else best

    def _chars(self, state: _State) -> set[str] | None:
        out: set[str] = set()
        for n in state.nodes:
            move = self.nfa.move[n]
            if move is not None:
                chars = _enumerate(move[0])
                if chars is None:
                    return None
                out |= chars
        return out

    def prefix_pattern(self, depth: int = 4) -> str:
        """A regex that finds every place where a marker, or the text's end within one, may stand (and few others)."""
        # not grouped: `re` skips ahead fast only where each alternative of the whole pattern begins with a
        # literal
        return "|".join(self._parts(self.start, depth)) or r"(?!)"

    def _prefix(self, state: _State, depth: int) -> str:
        parts = self._parts(state, depth) if depth and state.accept is None else []
        return parts[0] if len(parts) == 1 else "(?:" + "|".join(parts) + ")" if parts else ""

    def _parts(self, state: _State, depth: int) -> list[str]:
        chars = self._chars(state)
        if chars is None or len(chars) > _WIDE:
            return []
        by_rest: dict[str, list[str]] = {}
        for ch in sorted(chars):
            nxt = state[ch]
            assert nxt is not None
            by_rest.setdefault(self._prefix(nxt, depth - 1), []).append(ch)
        parts = []
        for rest, group in by_rest.items():
            head = re.escape(group[0]) if len(group) == 1 else "[" + "".join(map(re.escape, group)) + "]"
            parts.append(head + (f"(?:{rest}|\\Z)" if rest else ""))
        return parts

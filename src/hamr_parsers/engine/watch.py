"""The openers of other families, which every grammar watches for in free text.

Theory. A model at times writes another family's dialect. Where a marker stands that begins a call in some other
grammar, the machine goes on as that grammar's dialect (see `_switch` in free_text.py). There are many families
and their openers are the same for all, so they are one automaton, `Openers`, made once; a grammar's own view of
it, `Watch`, leaves out what the grammar knows itself. The grammar's own markers are asked first (`FirstOf`): what
it reads itself is never given to another, but for words and for markers of one character, such as the bracket of a
list, which may be the beginning of another's markup.

Only markup is watched for, text with a bracket, a bar or `=` in it: words such as `functions.` stand in prose. What is
hardly more than a word (`to=`) counts only where the answer begins. Of other families' end-of-turn tokens one that
ends the whole text is markup: whatever the gateway thought the model was, it let that through. A dialect that adopts
others (auto) watches in addition for what else tells a family: its reasoning markers and message headers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .automaton import MORE, Automaton, More, parse_pattern

if TYPE_CHECKING:
    from .grammar import Grammar

__all__ = ["FirstOf", "Opener", "Openers", "Watch", "in_order", "openers_of"]

_MARKUP: Final = re.compile(r"[<>\[\]|｜◁▷]|.```")
_TAG: Final = re.compile(r"</?[a-z_]+>")
_WATCHED: Final = re.compile(_MARKUP.pattern + "|=")
_DEPTH: Final = 3
"""Characters behind the first that the search looks at: enough to pass over most of what is no marker."""


class Opener(NamedTuple):
    """A marker of a family: what others do with it is its `kind`.

    `call`: it begins a call. `bare`: it begins one whose real opener was left out. `end`: it ends a turn, and is markup
    where it ends the whole text. `herald`: it does none of that, but tells the family.
    """

    family: str
    marker: str
    regexp: str
    flags: str
    literal: str
    kind: str


def openers_of(family: str, grammar: Grammar) -> list[Opener]:
    """What others watch for of a family."""
    from .table import start_node

    found = []
    start = start_node(grammar, False)
    for marker, (regexp, flags) in grammar.markers.sources.items():
        literal = grammar.literals[marker]
        if len(literal) < 2 or literal[0] == "{" or not _WATCHED.search(literal):
            continue
        edge = start.shift(marker)
        if grammar.begins_call(marker):
            kind = "bare" if marker in grammar.bare_openers else "call"
        elif marker in ("END_TURN", "END_TEXT"):
            kind = "end"
        elif _TAG.fullmatch(literal) and marker not in ("THINK", "END_THINK"):
            continue  # `<answer>` may be anybody's
        elif edge is not None and marker != "ROLE" and "stray" not in edge.after:
            kind = "herald"
        else:
            continue
        found.append(Opener(family, marker, regexp, flags, literal, kind))
    return found


def in_order(families: Iterable[tuple[bool, list[Opener]]]) -> list[Opener]:
    """The openers of families, each with whether it borrows: of two that match the same text, the first counts.

    Those of families that borrow come last, and those that are no real openers; of the others, one with a single
    spelling before one with many.
    """
    found = [(borrows, opener) for borrows, openers in families for opener in openers]
    found.sort(
        key=lambda item: (item[0], item[1].kind == "bare", item[1].regexp != re.escape(item[1].literal))
    )
    return [opener for _, opener in found]


class Openers:
    """The markers of many families in one automaton; of two that match the same text the first counts.

    Args:
        openers: what to watch for.
        target: makes the dialect of a family; told its id and whether a call is forced.
        known: what is known already of the automaton of all of them: the characters that one may begin with, and the
            regex that finds where one may stand.
    """

    def __init__(
        self, openers: list[Opener], target: Callable[[str, bool], Any], known: tuple[str, str] | None = None
    ) -> None:
        self.target = target
        self.by_name: dict[str, Opener] = {}
        seen: set[str] = set()
        for opener in openers:
            if opener.regexp not in seen:
                seen.add(opener.regexp)
                self.by_name[f"{opener.family}:{opener.marker}"] = opener
        self._known = known

    @cached_property
    def automaton(self) -> Automaton:
        """Decides which of them stands at a place."""
        return Automaton({n: parse_pattern(n, o.regexp, o.flags, True) for n, o in self.by_name.items()})

    @cached_property
    def summary(self) -> tuple[str, str]:
        """The characters that one may begin with, and a regex that finds the places where one may stand."""
        return self._known or (self.automaton.first, self.automaton.prefix_pattern(_DEPTH))


class Watch:
    """The openers of others as one grammar sees them."""

    def __init__(self, openers: Openers, family: str, grammar: Grammar) -> None:
        self.openers = openers
        self.literals = grammar.literals
        self._grammar = grammar
        self._hidden = frozenset(name for name, o in openers.by_name.items() if o.family == family)

    def __contains__(self, name: str) -> bool:
        return name in self.openers.by_name

    def kind(self, name: str) -> str:
        """What is done with a marker: see `Opener`."""
        return self.openers.by_name[name].kind

    def target(self, name: str, forced: bool) -> Any:
        """The dialect that a marker belongs to."""
        return self.openers.target(self.openers.by_name[name].family, forced)

    def match(self, text: str, pos: int, final: bool) -> tuple[str, int] | More | None:
        """As `Automaton.match`."""
        found = self.openers.automaton.match(text, pos, final)
        if not isinstance(found, tuple):
            return found
        if found[0] in self._hidden:
            return None
        # a marker of the grammar itself, which it does not take at this place, is none of others either
        own = self._own.match(text, pos, final)
        return found if own is None else own if own is MORE else None

    @cached_property
    def _own(self) -> Automaton:
        literals = self.literals
        return self._grammar.automaton(
            tuple(n for n in self._grammar.markers if _MARKUP.search(literals[n]) and len(literals[n]) > 1)
        )

    @property
    def first(self) -> str:
        """The characters that one may begin with."""
        return self.openers.summary[0]


class FirstOf:
    """An automaton and a watch as one: what the first knows is not asked of the second."""

    __slots__ = ("_own", "_watch", "_words", "first")

    def __init__(self, own: Automaton, watch: Watch) -> None:
        self._own = own
        self._watch = watch
        self.first = own.first + watch.first
        self._words = frozenset(n for n in own.rank if not _MARKUP.search(watch.literals[n]))

    def match(self, text: str, pos: int, final: bool) -> tuple[str, int] | More | None:
        """As `Automaton.match`."""
        found = self._own.match(text, pos, final)
        if found is None:
            return self._watch.match(text, pos, final)
        if found is MORE or found[1] - pos > 1 and found[0] not in self._words:
            return found
        other = self._watch.match(text, pos, final)
        return found if other is None or (other is not MORE and other[1] <= found[1]) else other

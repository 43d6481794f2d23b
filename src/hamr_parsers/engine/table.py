"""Where in the grammar the parser stands: interned LR stacks, with everything that follows from them cached.

Theory. An LR parser's future depends on its stack of states and on nothing else. So a stack is a value here,
a `Node`: it is interned, has an edge for every terminal that the table accepts (with the reductions simulated
once), and carries what the scanner needs to know about the place: which markers may come, which free text or
reader may begin, how a missing closer can be mended. At run time the machine only follows edges, and a
snapshot for rollback is a reference. Lists in grammars are left-recursive, so the number of stacks of a
family is small (some dozens) and each is computed once.

Where a state allows nothing but one reduction, it is reduced at once: the end of a call is known at its
closer and not at the text behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Final, NamedTuple

from ..arguments.json_call import BARE_CALL
from .automaton import Automaton, parse_pattern
from .grammar import GRAMMARS, Grammar, Rule
from .watch import FirstOf

__all__ = ["CALL_OBJECTS", "CAPTURES", "READERS", "TURN_ENDS", "VALUES", "Edge", "Node", "Scan", "start_node"]

CAPTURES: Final = ("NAME", "INDEXED_NAME", "KNOWN_NAME", "DECLARED_NAME", "CALL_ID", "KEY")
CALL_OBJECTS: Final = ("JSON_CALL", "BARE_JSON_CALL", "KEYED_JSON_CALL")
_ARGUMENTS: Final = ("JSON_ARGUMENTS", "TOKEN_ARGUMENTS", "LINE_ARGUMENTS")
READERS: Final = (*CALL_OBJECTS, *_ARGUMENTS, "PY_ARGUMENTS")
VALUES: Final = ("VALUE", "STRING_VALUE", "JSON_VALUE", "XML_VALUE", "ONLY_VALUE")
_EMPTIES: Final = (*VALUES, *_ARGUMENTS)  # what recovery may take as empty
TURN_ENDS: Final = ("END_TURN", "END_TEXT", "ROLE")
_PY_CALL: Final = r"[^\W\d][\w.\-]{0,255}\s*(?:(\()|\Z)"
_NEVER = re.compile(r"(?!)")
_END: Final = "$END"


class Edge(NamedTuple):
    """A shift: where it leads, and what was over ("call", "member") by the reductions before and after it."""

    target: Node
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def ends_call(self) -> bool:
        """Whether a call is over."""
        return "call" in self.before or "call" in self.after


class Scan(NamedTuple):
    """What to look for: an automaton that decides, and a pattern that finds where to ask it."""

    automaton: Automaton | FirstOf
    search: re.Pattern[str]
    first: str
    trigger: (
        str  # for the hot path of values: a printable chunk without it needs no search ("": every chunk does)
    )
    memo: dict[str, Any]  # the hot path's: what became of a piece of text without markers

    def find(self, text: str, at: int, last: int, end: int, final: bool) -> tuple[int, Any] | None:
        """The first marker in `text[at:end]` that begins at `last` at the latest, and what the automaton says of it.

        A marker that more text must tell (`MORE`) counts as one.
        """
        while found := self.search.search(text, at, end):
            here = found.start()
            if here > last:
                break
            match = self.automaton.match(text, here, final)
            if match is not None:
                return here, match
            at = here + 1
        return None


def _scan_of(automaton: Automaton | FirstOf, pattern: str) -> Scan:
    return Scan(automaton, re.compile(pattern) if pattern else _NEVER, automaton.first, "", {})


class Node:
    """A place in a grammar. Interned: equal stacks are the same object."""

    # a plain __dict__, since the cached properties live there; there are few nodes and they are shared
    def __init__(self, grammar: Grammar, stack: tuple[int, ...], end: int, entered_by: str) -> None:
        self.grammar = grammar
        self.stack = stack
        self.end = end
        self.entered_by = entered_by
        self._edges: dict[str, Edge | None] = {}
        self._paths: dict[str, tuple[str, ...] | None] = {}
        self._backs: dict[str, Node | None] = {}
        self.boundaries: dict[str, Any] = {}  # see boundary.py

    def __reduce__(self) -> tuple[object, ...]:
        return (_restore, (self.grammar.key, self.stack, self.end, self.entered_by))

    def __deepcopy__(self, memo: object) -> Node:
        return self

    def __repr__(self) -> str:
        return f"<Node {self.grammar.key} {' '.join(self.accepts)}>"

    # -- the table ------------------------------------------------------------------------------------------------

    def shift(self, terminal: str) -> Edge | None:
        """The edge of a terminal, or None where the grammar does not allow it."""
        try:
            return self._edges[terminal]
        except KeyError:
            edge = self._edges[terminal] = self._simulate(terminal)
            return edge

    def _simulate(self, terminal: str) -> Edge | None:
        actions = self.grammar.tables.actions
        stack = self.stack
        before: list[str] = []
        after: list[str] = []
        while True:
            action = actions[stack[-1]].get(terminal)
            if action is None:
                return None
            if isinstance(action, int):
                break
            before += filter(None, (action.means,))
            stack = self._reduce(stack, action)
            if terminal == _END and stack[-1] == self.end:
                return Edge(intern(self.grammar, stack, self.end, _END), tuple(before), ())
        if terminal == _END:
            return Edge(intern(self.grammar, stack, self.end, _END), tuple(before), ())
        stack += (action,)
        while True:
            row = actions[stack[-1]].items()
            rules = {a for s, a in row if isinstance(a, Rule)}
            if len(rules) != 1 or any(isinstance(a, int) for _, a in row):
                break
            rule = rules.pop()
            after += filter(None, (rule.means,))
            stack = self._reduce(stack, rule)
        return Edge(intern(self.grammar, stack, self.end, terminal), tuple(before), tuple(after))

    def _reduce(self, stack: tuple[int, ...], rule: Rule) -> tuple[int, ...]:
        if rule.size:
            stack = stack[: -rule.size]
        target = self.grammar.tables.actions[stack[-1]][rule.origin]
        assert isinstance(target, int)
        return (*stack, target)

    @cached_property
    def accepts(self) -> tuple[str, ...]:
        """The terminals that may come here."""
        return tuple(t for t in sorted(self.grammar.terminals) if self.shift(t) is not None)

    @cached_property
    def may_end(self) -> bool:
        """Whether the text may end here."""
        return self.shift(_END) is not None

    def path_to(self, terminal: str) -> tuple[str, ...] | None:
        """The fewest closers (or things that may be empty) to insert so that `terminal` is accepted, if any do."""
        try:
            return self._paths[terminal]
        except KeyError:
            pass
        found: tuple[str, ...] | None = None
        frontier: list[tuple[Node, tuple[str, ...]]] = [(self, ())]
        seen = {self}
        for _ in range(8):
            following: list[tuple[Node, tuple[str, ...]]] = []
            for node, path in frontier:
                if node.shift(terminal) is not None:
                    found = path
                    break
                for t in node.accepts:
                    if t == "END_THINK" and node.text != "REASONING":
                        continue  # it would say that the text was reasoning
                    if (t.startswith("END_") and t not in TURN_ENDS) or t in _EMPTIES:
                        edge = node.shift(t)
                        assert edge is not None
                        if edge.target not in seen:
                            seen.add(edge.target)
                            following.append((edge.target, (*path, t)))
            if found is not None or not following:
                break
            frontier = following
        self._paths[terminal] = found
        return found

    def back_to(self, terminal: str, depth: int) -> Node | None:
        """The innermost place around this one, deeper than `depth`, from where `terminal` can be reached."""
        passed: list[Node] = []
        node: Node = self
        while terminal not in node._backs:  # what is found is the same for all places in between
            passed.append(node)
            if len(node.stack) < 2:
                found = None
                break
            node = intern(self.grammar, node.stack[:-1], self.end, "")
            if node.path_to(terminal) is not None:
                found = node
                break
        else:
            found = node._backs[terminal]
        for node in passed:
            node._backs[terminal] = found
        return found if found is not None and len(found.stack) > depth else None

    def last_in_call(self, depth: int) -> Node:
        """The innermost place around this one, deeper than `depth`, where a closer ends the call; else this one."""
        closers = [terminal for terminal in self.grammar.markers if terminal.startswith("END_")]
        for size in range(len(self.stack) - 1, depth, -1):
            node = intern(self.grammar, self.stack[:size], self.end, "")
            edges = [node.shift(terminal) for terminal in closers]
            if any(edge is not None and edge.ends_call for edge in edges):
                return node
        return self

    @cached_property
    def keys(self) -> int:
        """How many members are open here that have their key."""
        return sum(state in self.grammar.after_key for state in self.stack)

    @cached_property
    def unwound(self) -> Node:
        """The innermost place around this one where content is legal, for when no closer leads there."""
        for size in range(len(self.stack), 0, -1):
            node = intern(
                self.grammar, self.stack[:size], self.end, self.entered_by if size == len(self.stack) else ""
            )
            edge = node.shift("CONTENT")
            if edge is not None:
                return node
        return start_node(self.grammar, False)

    def leaves_call(self, terminal: str) -> bool:
        """Whether the way to `terminal` ends the call that is open here."""
        node = self
        for t in (*(self.path_to(terminal) or ()), terminal):
            edge = node.shift(t)
            if edge is None or edge.ends_call:
                return True
            node = edge.target
        return False

    # -- what the scanner needs to know -------------------------------------------------------------------------------

    @cached_property
    def text(self) -> str | None:
        """The free text that may stand here, "CONTENT", "REASONING" or "NOISE"; None between markers."""
        if self.shift("CONTENT") is not None:
            return "CONTENT"
        if self.shift("REASONING") is not None or self.entered_by == "REASONING":
            return "REASONING"
        if self.shift("NOISE") is not None or self.entered_by == "NOISE":
            return "NOISE"
        return None

    @cached_property
    def begun(self) -> Edge | None:
        """Where the first character of free text leads, if that is another place."""
        edge = self.shift(self.text) if self.text else None
        return edge if edge is not None and edge.target is not self else None

    @cached_property
    def readers(self) -> tuple[str, ...]:
        """The readers that may begin here; one with a marker before it goes first."""
        return tuple(t for t in READERS if self.shift(t) is not None)

    @cached_property
    def capture(self) -> str | None:
        """The name, id or key that may begin here."""
        return next((t for t in CAPTURES if self.shift(t) is not None), None)

    @cached_property
    def value(self) -> str | None:
        """The word for an argument's bare text, where one begins here."""
        return next((t for t in VALUES if self.shift(t) is not None), None)

    @cached_property
    def open_ended(self) -> bool:
        """Whether nothing closes the value that begins here: the call is over where it is."""
        edge = self.shift(self.value) if self.value == "ONLY_VALUE" else None
        return edge is not None and "call" in edge.after

    @cached_property
    def nests(self) -> bool:
        """Whether a member may stand here in place of a value."""
        return any(m in self.grammar.markers and not m.startswith("END_") for m in self.accepts)

    def _scan(self, names: Iterable[str]) -> Scan:
        wanted = tuple(dict.fromkeys(n for n in names if n in self.grammar.markers))
        automaton = self.grammar.automaton(wanted)
        return _scan_of(automaton, automaton.prefix_pattern() if wanted else "")

    @cached_property
    def reachable(self) -> tuple[str, ...]:
        """Markers that may come here, first those that the table accepts, then those that a mended closer allows."""
        near, literals = self.accepts, self.grammar.literals
        far = (m for m in self.grammar.markers if m not in near and len(literals[m]) > 1)
        return (*near, *(m for m in far if self.path_to(m) is not None))

    @cached_property
    def leading(self) -> tuple[str, ...]:
        """Markers that begin with a blank, which here is no framing."""
        return tuple(n for n in self.accepts if self.grammar.literals.get(n, "")[:1].isspace())

    @cached_property
    def tight_scan(self) -> Scan:
        """Between markers: everything that may come, the closer of an envelope that holds nothing, an opener twice, and
        what may stand where half a member was left out."""
        grammar, last = self.grammar, self.entered_by
        twice = (last,) if last in grammar.openers or grammar.begins_call(last) else ()
        over = (n for n in grammar.until.get("VALUE", ()) if self.keys and self.back_to(n, 0) is not None)
        return self._scan((*self.reachable, f"END_{last}", *twice, *over))

    @cached_property
    def first_openers(self) -> dict[str, str]:
        """Markers of one character before a declared name, by character: they count only where the answer begins."""
        found = {}
        for n in self.accepts:
            edge = self.shift(n)
            literal = self.grammar.literals.get(n, "")
            if len(literal) == 1 and edge is not None and edge.target.capture == "DECLARED_NAME":
                found[literal] = n
        return found

    @cached_property
    def lists_calls(self) -> bool:
        """Whether Python calls by bare names may stand in what was opened here."""
        edge = self.shift("DECLARED_NAME")
        if edge is None:
            return False
        return any(
            (e := edge.target.shift(n)) and "PY_ARGUMENTS" in e.target.readers for n in edge.target.accepts
        )

    @cached_property
    def text_scan(self) -> Scan:
        """Within free text: what the table accepts and what may interrupt it, fences and bare calls."""
        markers = self.grammar.markers
        names = [*self.accepts, *self.grammar.until.get(self.text or "", ())]
        names = [n for n in names if n in markers and (n in self.accepts or self.path_to(n) is not None)]
        first = self.first_openers.values()
        objects = CALL_OBJECTS
        names = [
            n
            for n in names
            if n not in first
            or (
                (e := self.shift(n)) is not None
                and (set(objects) & set(e.target.accepts) or e.target.lists_calls)
            )
        ]
        more = ["`(?:`(?:`|\\Z)|\\Z)"]
        plain = []
        for n in names:
            edge = self.shift(n)
            spellings = self.grammar.spellings.get(n, [])
            # a short opener that only an object, or a Python call, can follow is looked at only where one does: `[`
            # is common in prose
            follow = [r"(\{)"] if edge is not None and set(edge.target.accepts) & set(objects) else []
            if edge is not None and edge.target.lists_calls:
                follow.append(_PY_CALL)
            if [len(x) for x in spellings] == [1] and follow:
                more.append(re.escape(spellings[0]) + rf"\s*(?:{'|'.join(follow)}|\Z)")
            else:
                plain.append(n)
        if self.readers:
            more.append(r"(\{)" if "JSON_ARGUMENTS" in self.readers else BARE_CALL.pattern)
        pattern = self.grammar.automaton(tuple(plain)).prefix_pattern() if plain else ""
        automaton = self.grammar.automaton(tuple(dict.fromkeys(names)))
        watch = self.grammar.watch
        if watch is None:
            return _scan_of(automaton, "|".join(p for p in (pattern, *more) if p))
        patterns = (pattern, watch.openers.summary[1], *more)
        return _scan_of(FirstOf(automaton, watch), "|".join(p for p in patterns if p))

    @cached_property
    def framed(self) -> bool:
        """Whether the closer of the value that begins here takes a newline before it as framing."""
        edge = self.shift(self.value or "VALUE")
        if edge is None:
            return False
        closers = (n for n in edge.target.accepts if n in self.grammar.markers)
        return any("\n" in self.grammar.automaton((n,)).first for n in closers)

    @cached_property
    def value_scan(self) -> Scan:
        """Within a value: its closers, what may interrupt it, the openers that are counted, entities if it has any.

        What stands in for a closer left out takes a newline before it as framing, whether the closer does or
        not; the others do where the closer does.
        """
        assert self.value is not None
        edge = self.shift(self.value)
        assert edge is not None
        markers = self.grammar.markers
        closers = [n for n in edge.target.accepts if n in markers]
        until = self.grammar.until.get(self.value, self.grammar.until.get("VALUE", ()))
        others = [*until, *self.grammar.counted, *TURN_ENDS]
        # of two that match the same text, as a closer of any element and that of the call, the first is meant
        first = [n for n in until if n.startswith("END_") and n not in closers]
        terminals = {}
        for n in (*first, *closers, *others):
            if n in closers:
                terminals[n] = markers[n]
            elif n in markers and n not in terminals:
                parsed, ignore_case = markers[n]
                other = f"END_{n}"
                newline = self.framed or n in until or other in until
                terminals[n] = (_after_newline(parsed) if newline else parsed, ignore_case)
        if self.value == "XML_VALUE":
            terminals["ENTITY"] = parse_pattern("ENTITY", "|".join(map(re.escape, self.grammar.entities)))
        automaton = Automaton(terminals)
        scan = _scan_of(automaton, automaton.prefix_pattern())
        # the hot path of values looks at what is not printable anyway
        printable = automaton.first.translate({10: None, 13: None})
        return scan._replace(trigger=printable if len(printable) == 1 else "")

    @cached_property
    def stop_scan(self) -> Scan:
        """Behind a reader's value: the markers that end it. Those of one character are JSON's own and do not, nor do
        those that begin like a word."""
        literals = self.grammar.literals
        return self._scan(
            n
            for n in self.reachable
            if n in literals and len(literals[n]) > 1 and not literals[n][0].isalnum()
        )

    @cached_property
    def has_closers(self) -> bool:
        """Whether what may come behind a reader's value includes a closer of the family."""
        return any(
            n.startswith("END_") and n not in (*TURN_ENDS, "END_THINK", "END_LIST") for n in self.reachable
        )

    @cached_property
    def follow_scan(self) -> Scan:
        """After a closer that may belong to a value: what shows that it does not."""
        literals = self.grammar.literals
        seen = {self: None}
        todo = [self]
        names: dict[str, None] = {}
        while todo:  # whatever may come, here or after any number of closers
            node = todo.pop()
            for n in node.reachable:
                if n in literals and len(literals[n]) > 1:
                    names[n] = None
                    edge = node.shift(n)
                    if edge is not None and n.startswith("END_") and edge.target not in seen:
                        seen[edge.target] = None
                        todo.append(edge.target)
        return self._scan(names)


def _after_newline(parsed: Any) -> Any:
    """A parsed pattern with an optional newline before it."""
    newline = list(parse_pattern("newline", r"\n?x")[0])[:1]
    return [*newline, *parsed]


def intern(grammar: Grammar, stack: tuple[int, ...], end: int, entered_by: str) -> Node:
    """The node of a stack."""
    node = grammar.nodes.get(stack)
    if node is None:
        node = grammar.nodes.setdefault(stack, Node(grammar, stack, end, entered_by))
    assert isinstance(node, Node)
    return node


def start_node(grammar: Grammar, in_reasoning: bool, forced: bool = False) -> Node:
    """Where a text begins; `forced`: the request forced a call, which may be bare JSON then."""
    starts = grammar.tables.starts
    name = "start_in_reasoning" if in_reasoning and "start_in_reasoning" in starts else "start"
    if forced and f"{name}_forced" in starts:
        name += "_forced"
    first, end = starts[name]
    return intern(grammar, (first,), end, name)


def _restore(key: str, stack: tuple[int, ...], end: int, entered_by: str) -> Node:
    return intern(GRAMMARS[key], stack, end, entered_by)

"""The lexical states of well-formed JSON, as interned nodes that are walked one character at a time.

Theory. A place in a JSON text is fully known by its lexical state (in a string, after a value, ...) and the
stack of brackets that are open. One `Node` stands for one such place; it is a dict from a character to the
next node, filled as it is used, so that `for ch in chunk: node = node[ch]` checks the text, follows the stack
and knows what must be held back, all in one dictionary look-up a character. Characters that do not fit lead to
`ERROR`; the mender (json_mend.py) takes over from there.

What is held is a property of the node. `mark` says what may be given out once its character was read: nothing
new (0), everything (1), or everything before that character (2: the comma after a number shows that the number
is whole, but must itself wait for the next value). A closing quote and all that follows it wait until the
first character of the next value, since only that shows that the quote was not an unescaped inner one; keys and
commas wait for the value's first character; numbers and literals for the character after them; an escape until
it is whole, the first half of a surrogate pair for its second.

Bounds. Stacks are linked to their parents and interned in a `Tree`. A tree that has grown to its limit interns
nothing more (new nodes then live only as long as somebody stands on them) and is replaced by a new one for the
readers that come later; so hostile nesting costs time, never memory. The memo of a node, from a chunk to where it
leads, is bounded for each tree as well.
"""

from __future__ import annotations

import re
import sys
from typing import Any

__all__ = [
    "CLOSERS",
    "ERROR",
    "MAX_TAIL",
    "MEMO_CHUNK",
    "NOWHERE",
    "SMART",
    "Node",
    "Stack",
    "Step",
    "passes",
    "past",
    "tree",
    "uncut",
]

MAX_STACKS = 1024
MAX_MEMO = 8192
MAX_TREES = 16
MEMO_CHUNK = 64
"""Chunks longer than this are not remembered."""

BLANKS = " \t\n\r"
LITERALS = ("true", "false", "null")
WHOLE = frozenset(("0", "1", "f", "E", "=true", "=false", "=null", "N"))
"""Lexical states in which a number or literal may be over."""

MAX_TAIL = 8
"""How many closers may wait at the end of a string."""

CLOSERS = {"{": "}", "[": "]", "(": "]"}
"""What closes a bracket in JSON. `(` is a tuple that is given out as an array: only the careful half knows its end."""

SMART = {**dict.fromkeys("“”„‟", '“”„‟"'), **dict.fromkeys("‘’‚‛", "‘’‚‛'")}
"""Quotes of word processors, and what may close a string that begins with one."""

Step = tuple["Node", str, str, "Node"]
"""Where a chunk leads: the node behind it, what may be given out, what must be held, the last safe node."""


def past(pattern: re.Pattern[str], text: str, start: int, end: int = sys.maxsize) -> int:
    """The end of the match at `start`; `start` if there is none."""
    m = pattern.match(text, start, end)
    return start if m is None else m.end()


_UNCUT = re.compile(r"(?:[^\\]|\\.)*+", re.DOTALL)


def uncut(chunk: str) -> int:
    """Where a chunk from inside a string ends, but for a backslash whose character has not come."""
    return past(_UNCUT, chunk, 0)


def passes(text: str) -> bool:
    """Whether well-formed `text` from inside a string leaves nothing that must wait for what follows."""
    return not text.endswith((",", ", ", "}", "]"))


def _is_whole(text: str) -> bool:
    """Whether `text` from inside a string passes as it is (bytes, which the engine tries first, are an error)."""
    return '"' not in text and "\\" not in text and text.isprintable() and passes(text)


class Tree:
    """Interns the stacks of readers that agree on depth, watched level and doubtful brackets."""

    __slots__ = ("doubtful", "max_depth", "memo", "root", "stacks", "texts", "watch")

    def __init__(self, max_depth: int, watch: int, doubtful: bool) -> None:
        self.max_depth = max_depth
        self.watch = watch
        self.doubtful = doubtful
        self.stacks = 0
        self.memo = 0
        self.texts = 0
        self.root = Stack(self, None, "", 0)


class Stack:
    """The brackets that are open: `kind` is the innermost one (`{`, `[`, or nothing at the root)."""

    __slots__ = ("_kids", "_nodes", "depth", "kind", "parent", "tree")

    def __init__(self, tree: Tree, parent: Stack | None, kind: str, depth: int) -> None:
        self.tree = tree
        self.parent = parent
        self.kind = kind
        self.depth = depth
        self._kids: dict[str, Stack] = {}
        self._nodes: dict[str, Node] = {}

    def push(self, kind: str) -> Stack:
        """This stack with one more bracket open."""
        stack = self._kids.get(kind)
        if stack is None:
            stack = Stack(self.tree, self, kind, self.depth + 1)
            if self.tree.stacks < MAX_STACKS:
                self.tree.stacks += 1
                self._kids[kind] = stack
        return stack

    def pop(self) -> Stack:
        """This stack without its innermost bracket (the root stays the root)."""
        return self.parent or self

    def node(self, lex: str) -> Node:
        """The node for a lexical state on this stack."""
        node = self._nodes.get(lex)
        if node is None:
            node = self._nodes[lex] = Node(lex, self)
        return node

    def path(self) -> str:
        """The open brackets, outermost first."""
        kinds: list[str] = []
        stack: Stack | None = self
        while stack is not None:
            kinds.append(stack.kind)
            stack = stack.parent
        return "".join(reversed(kinds))

    def closers(self, floor: int = 0) -> str:
        """The text that closes all brackets deeper than `floor`."""
        text: list[str] = []
        stack: Stack | None = self
        while stack is not None and stack.depth > floor:
            text.append(CLOSERS[stack.kind])
            stack = stack.parent
        return "".join(text)

    def __reduce__(self) -> tuple[Any, ...]:
        t = self.tree
        return _stack, (t.max_depth, t.watch, t.doubtful, self.path())

    def __deepcopy__(self, memo: dict[int, Any]) -> Stack:
        return self

    def __copy__(self) -> Stack:
        return self


class Node(dict[str, "Node"]):
    """One lexical state on one stack; a dict from a character to the next node.

    `text`: inside the string of a value with nothing held: a chunk of it that needs no mend and leaves nothing
    waiting (`passes`) passes as it is. `plain`: any chunk that needs no mend does. `stop`: the value
    that is being read is over (or, with `watch`, a member of it).
    """

    __slots__ = ("lex", "mark", "memo", "plain", "safe", "stack", "stop", "text")

    def __init__(self, lex: str, stack: Stack) -> None:
        super().__init__()
        self.lex = lex
        self.stack = stack
        self.plain = lex == "D"
        self.text = lex == "S" or lex == "D"
        self.stop = lex in ("A", "Aq") and stack.depth <= stack.tree.watch
        self.mark = 0
        self.safe: Node = self
        self.memo: dict[str, Step | None] = {}
        if lex in ("S", "S0", "D", "To", "A", "k0") or (lex == "v0" and not stack.tree.doubtful):
            self.mark = 1
        elif lex == "S," or lex == "T1":
            self.mark = 2
            self.safe = stack.node("S")
        elif lex in ("k,", "v,"):
            self.mark = 2
            self.safe = stack.node("A")

    def __missing__(self, ch: str) -> Node:
        node = _next(self, ch) if not self.stop else ERROR
        if ch < "\x7f":
            self[ch] = node
        return node

    def walk(self, chunk: str) -> Step | None:
        """Where `chunk` leads from here, or None if it does not fit or the value ends in it."""
        tree = self.stack.tree
        starts = self.lex == "S0" and chunk[:1] not in ("", '"')
        inside = self.stack.node("S") if starts else self
        if inside.text and _is_whole(chunk):
            step: Step | None = (inside, chunk, "", inside)
            if len(chunk) <= 16 and tree.texts < MAX_MEMO:
                # what strings hold is remembered apart, and must not use up the tree
                tree.texts += 1
                self.memo[chunk] = step
            return step
        if starts:
            return inside.memo.get(chunk) or inside.walk(chunk)
        node = self
        at = 0
        safe: Node | None = None
        for i, ch in enumerate(chunk):
            node = node[ch]
            mark = node.mark
            if mark:
                at = i + 1 if mark == 1 else i
                safe = node.safe
        if node is ERROR or node.stop:
            step = None
        elif safe is None:
            step = (node, "", chunk, NOWHERE)
        else:
            step = (node, chunk[:at], chunk[at:], safe)
        if len(chunk) <= MEMO_CHUNK and tree.memo < MAX_MEMO:
            tree.memo += 1
            self.memo[chunk] = step
        return step

    def __reduce__(self) -> tuple[Any, ...]:
        return _node, (self.stack, self.lex)

    def __deepcopy__(self, memo: dict[int, Any]) -> Node:
        return self

    def __copy__(self) -> Node:
        return self

    def __repr__(self) -> str:
        return f"<{self.lex} in {self.stack.path()!r}>"


_trees: dict[tuple[int, int, bool], Tree] = {}


def tree(max_depth: int, watch: int, doubtful: bool) -> Tree:
    """The shared tree for readers of this kind. `doubtful`: a `[` may be the beginning of a marker."""
    key = (max_depth, watch, doubtful)
    found = _trees.get(key)
    if found is None or found.stacks >= MAX_STACKS or found.memo >= MAX_MEMO:
        if len(_trees) >= MAX_TREES:
            _trees.clear()
        found = _trees[key] = Tree(max_depth, watch, doubtful)
    return found


def _stack(max_depth: int, watch: int, doubtful: bool, path: str) -> Stack:
    stack = tree(max_depth, watch, doubtful).root
    for kind in path:
        stack = stack.push(kind)
    return stack


def _node(stack: Stack, lex: str) -> Node:
    if lex == "!":
        return ERROR
    return stack.node(lex) if lex else NOWHERE


class _Sink(Node):
    """Every character leads back to where it came from."""

    __slots__ = ()

    def __missing__(self, ch: str) -> Node:
        return self


_nowhere = Tree(0, -1, False).root
ERROR: Node = _Sink("!", _nowhere)
NOWHERE: Node = _Sink("", _nowhere)


_DIGITS = "0123456789"
_HEX = "0123456789abcdefABCDEF"


def _rows() -> dict[str, dict[str, str]]:
    """The grammar of JSON (RFC 8259) within one stack: for each state, where its characters lead."""
    ends = (("eE", "e"),)
    point = ((".", "."), *ends)
    value = (('"', "S0"), ("-", "-"), ("0", "0"), ("123456789", "1"), ("t", "=t"), ("f", "=f"), ("n", "=n"))
    rows = {
        "c": ((BLANKS, "c"), (":", "v")),
        # a string at its first character may still be in triple quotes
        "v": ((BLANKS, "v"), *value),
        "v0": ((BLANKS, "v0"), *value),
        "v,": ((BLANKS, "v"), *value),
        "k": ((BLANKS, "k"), ('"', "K")),
        "k0": ((BLANKS, "k0"), ('"', "K")),
        "k,": ((BLANKS, "k"), ('"', "K")),
        "K": (('"', "c"), ("\\", "K\\")),
        "D": (("\\", "D\\"),),
        "A": ((BLANKS, "A"),),
        "Aq": ((BLANKS, "Aq"),),
        "N": ((BLANKS, "N"),),
        "-": (("0", "0"), ("123456789", "1")),
        "0": ((BLANKS, "N"), *point),
        "1": ((BLANKS, "N"), (_DIGITS, "1"), *point),
        ".": ((_DIGITS, "f"),),
        "f": ((BLANKS, "N"), (_DIGITS, "f"), *ends),
        "e": ((_DIGITS, "E"), ("+-", "s")),
        "s": ((_DIGITS, "E"),),
        "E": ((BLANKS, "N"), (_DIGITS, "E")),
        # the first half of a surrogate pair waits for its second (only in values: keys are held anyway)
        "Sd1": ((_HEX, "Su2"), ("89abAB", "Sd2")),
        "Sd2": ((_HEX, "Sd3"),),
        "Sd3": ((_HEX, "H"),),
    }
    for literal in LITERALS:
        for n in range(1, len(literal)):
            rows["=" + literal[:n]] = ((literal[n], "=" + literal[: n + 1]),)
        rows["=" + literal] = ((BLANKS, "N"),)
    for c in "SKD":
        rows[c + "\\"] = (('"\\/bfnrt', c), ("u", c + "u0"))
        for n in range(4):
            rows[f"{c}u{n}"] = ((_HEX, f"{c}u{n + 1}" if n < 3 else c),)
    rows["Su0"] += (("dD", "Sd1"),)
    # the rare strings of state D leave pairs to the careful half
    rows["Du0"] += (("dD", "!"),)
    return {lex: {c: after for chars, after in row for c in chars} for lex, row in rows.items()}


_ROWS = _rows()


def _tail(stack: Stack, count: int, ch: str) -> Node:
    """The node after `ch`, the closer number `count` in a row inside a string."""
    if stack.depth > MAX_TAIL:
        return stack.node("S")
    if count > stack.depth:
        return stack.node("To")
    outer = stack
    for _ in range(count - 1):
        outer = outer.pop()
    return stack.node(f"T{count}" if CLOSERS[outer.kind] == ch else "To")


def _next(node: Node, ch: str) -> Node:
    """The node after `ch`: by the table, or a character of a string, a bracket or a comma."""
    lex, stack = node.lex, node.stack
    row = _ROWS.get(lex)
    if row is not None:
        after = row.get(ch)
        if after is not None:
            return ERROR if after == "!" else stack.node(after)
        if lex in ("K", "D"):
            # whether another quote ends a string that has had one which was not escaped needs a closer look
            return node if ch >= " " and ch != '"' else ERROR
        kind = stack.kind
        if lex[0] == "A" or lex in WHOLE:
            if ch == "," and kind:
                return stack.node(("k" if kind == "{" else "v") + ("" if lex == "Aq" else ","))
            if ch == "}" and kind == "{" or ch == "]" and kind == "[":
                return stack.pop().node("Aq" if lex == "Aq" else "A")
        elif ch in "{[" and lex[0] == "v" and stack.depth < stack.tree.max_depth:
            return stack.push(ch).node("k0" if ch == "{" else "v0")
        elif ch == "]" and lex == "v0" or ch == "}" and lex == "k0":
            return stack.pop().node("A")
        return ERROR
    # in a string; at its end a comma or closers may stand behind a closing quote that was left out
    if lex == "S," and ch == " ":
        return stack.node("S, ")
    if lex[0] == "T" and ch in "}]":
        # those that close all and stand before a line break may; of too many (`To`) none does
        return node if lex == "To" else _tail(stack, int(lex[1:]) + 1, ch)
    if ch == '"':
        return stack.node("Aq")
    if ch == "\\":
        return stack.node("S\\")
    if ch in "}]":
        return _tail(stack, 1, ch)
    if ch == "," and stack.kind == "{":
        return stack.node("S,")
    return stack.node("S") if ch >= " " else ERROR

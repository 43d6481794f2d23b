"""Regular expressions of a `response_template`, as markers of a grammar.

Theory. A template's patterns are written for a backtracking matcher that has all of the text; the engine's markers are
bounded, and found while the text comes in. Most of what templates hold is a marker all the same, and is rewritten:
repetitions of one character without a bound get one, blanks that frame a marker come out (the engine holds them
anyway), word boundaries and alternatives that only say "or the end of the text" are dropped. What is left, a
look-around or a reference back, has no bounded form and is refused, with the reason.

A pattern with named groups is cut at the groups that the template's `transform` uses: `<f=(?P<name>\\w+)>` is the
marker `<f=`, a name, and the marker `>`.

Patterns are handled as the trees that Python's own parser makes of them, turned into plain lists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from re import _constants as sre
from re import _parser as sre_parse
from typing import Any, Final, NamedTuple, TypeAlias

__all__ = ["Capture", "Choice", "Item", "Pattern", "Tree", "UnsupportedPatternError", "escaped", "split"]

Tree: TypeAlias = list[tuple[Any, Any]]

_BLANKS: Final = " \t\r\n"
_ANY_BLANK: Final = r" \t\r\n"  # enumerable, so that a marker may begin with it
_REPEATS: Final = (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT)
_SINGLE: Final = (sre.LITERAL, sre.NOT_LITERAL, sre.IN, sre.ANY)
_DOTTED_GROUP: Final = re.compile(r"\(\?<(?![=!])")  # `(?<name>`, as the `regex` module also writes groups
_CATEGORIES: Final = {
    sre.CATEGORY_DIGIT: r"\d",
    sre.CATEGORY_NOT_DIGIT: r"\D",
    sre.CATEGORY_SPACE: _ANY_BLANK,
    sre.CATEGORY_NOT_SPACE: r"\S",
    sre.CATEGORY_WORD: r"\w",
    sre.CATEGORY_NOT_WORD: r"\W",
}
_ESCAPES: Final = {"\n": r"\n", "\t": r"\t", "\r": r"\r", "\f": r"\f", "\v": r"\v"}
_AT_BEGINNING: Final = (sre.AT_BEGINNING, sre.AT_BEGINNING_STRING)
_AT_END: Final = (sre.AT_END, sre.AT_END_STRING)


_VISIBLE: Final = ((33, 33), (35, 90), (92, 122), (124, 126))  # but what JSON begins with: { [ "


class UnsupportedPatternError(Exception):
    """Says what about a pattern cannot be honoured, to be continued with "which ...": the caller adds where."""


class Capture(NamedTuple):
    """A named group that the transform uses."""

    name: str
    tree: Tree


class Choice(NamedTuple):
    """Alternatives of which one or more hold a capture; `optional`: or nothing."""

    branches: list[list[Item]]
    optional: bool


Item: TypeAlias = "Tree | Capture | Choice"


def escaped(text: str) -> str:
    """A literal as a regex between slashes."""
    return "".join(_ESCAPES.get(c) or (f"\\{c}" if c in r"\/.^$*+?{}[]()|-" else c) for c in text)


class Pattern:
    """A parsed pattern.

    Raises:
        UnsupportedPatternError: it is not a regex that Python's parser reads.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            parsed = sre_parse.parse(_DOTTED_GROUP.sub("(?P<", text), re.DOTALL)
        except (re.error, RecursionError, OverflowError) as error:
            raise UnsupportedPatternError(f"is not a regex that can be read: {error}") from None
        self.tree = _plain(parsed)
        self.names: dict[int, str] = {number: name for name, number in parsed.state.groupdict.items()}
        self.ignore_case = bool(parsed.state.flags & re.IGNORECASE)


def _plain(tree: Any) -> Tree:
    out: Tree = []
    for op, arg in tree:
        if op is sre.SUBPATTERN:
            group, add, drop, body = arg
            if add or drop:
                raise UnsupportedPatternError("switches flags in its middle")
            arg = (group, 0, 0, _plain(body))
        elif op is sre.BRANCH:
            arg = (None, [_plain(branch) for branch in arg[1]])
        elif op in _REPEATS:
            arg = (arg[0], arg[1], _plain(arg[2]))
        elif op is sre.ATOMIC_GROUP:
            op, arg = sre.SUBPATTERN, (None, 0, 0, _plain(arg))
        elif op in (sre.ASSERT, sre.ASSERT_NOT):
            arg = (arg[0], _plain(arg[1]))
        elif op is sre.AT and arg in (sre.AT_BOUNDARY, sre.AT_NON_BOUNDARY):
            continue  # what stands on its sides says as much, but for oddities
        out.append((op, arg))
    return out


# -- cutting at captures -------------------------------------------------------------------------------------


def split(pattern: Pattern, wanted: Collection[str]) -> list[Item]:
    """The pattern as markers and captures, in order.

    Raises:
        UnsupportedPatternError: a capture stands where no grammar can have one.
    """
    numbers = {number: name for number, name in pattern.names.items() if name in wanted}

    def holds(tree: Tree) -> bool:
        return any(
            (op is sre.SUBPATTERN and (arg[0] in numbers or holds(arg[3])))
            or (op is sre.BRANCH and any(map(holds, arg[1])))
            or (op in _REPEATS and holds(arg[2]))
            for op, arg in tree
        )

    def cut(tree: Tree) -> list[Item]:
        items: list[Item] = []
        for op, arg in tree:
            if not holds([(op, arg)]):
                if not items or not isinstance(items[-1], list):
                    items.append([])
                items[-1].append((op, arg))  # type: ignore[union-attr]
            elif op is sre.SUBPATTERN and arg[0] in numbers:
                items.append(Capture(numbers[arg[0]], arg[3]))
            elif op is sre.SUBPATTERN:
                items += cut(arg[3])
            elif op is sre.BRANCH:
                items.append(Choice([cut(branch) for branch in arg[1]], False))
            elif arg[:2] == (0, 1):
                items.append(Choice([cut(arg[2])], True))
            else:
                raise UnsupportedPatternError("repeats a named group")
        return items

    return cut(pattern.tree)


def holds_group(tree: Tree, pattern: Pattern, name: str) -> bool:
    """Whether a named group stands somewhere in a tree of the pattern."""
    probe = Pattern.__new__(Pattern)
    probe.tree, probe.names = tree, pattern.names
    return any(isinstance(item, Capture | Choice) for item in split(probe, (name,)))


# -- what comes out -------------------------------------------------------------------------------------------


def _is_blank(op: Any, arg: Any) -> bool:
    if op is sre.LITERAL:
        return chr(arg) in _BLANKS
    if op is sre.IN:
        return all((o, a) == (sre.CATEGORY, sre.CATEGORY_SPACE) or _is_blank(o, a) for o, a in arg)
    if op in _REPEATS:
        return all(_is_blank(o, a) for o, a in arg[2])
    if op is sre.SUBPATTERN:
        return all(_is_blank(o, a) for o, a in arg[3])
    return False


def without_blanks(tree: Tree) -> tuple[Tree, bool]:
    """A tree without the blanks that it may begin with, and whether there were any."""
    out = list(tree)
    found = False
    while out:
        op, arg = out[0]
        if _is_blank(op, arg):
            found = True
            del out[0]
        elif op is sre.SUBPATTERN:
            body, inner = without_blanks(arg[3])
            out[0] = (op, (*arg[:3], body))
            return out, found or inner
        elif op in _REPEATS and arg[0] == 0 and arg[1] == 1:
            body, inner = without_blanks(arg[2])
            rest, more = without_blanks(out[1:])
            return [(op, (0, 1, body)), *rest] if body else rest, found or inner or more
        elif op is sre.BRANCH:
            stripped = [without_blanks(branch) for branch in arg[1]]
            out[0] = (op, (None, [branch for branch, _ in stripped]))
            return out, found or any(inner for _, inner in stripped)
        else:
            break
    return out, found


def without_blanks_behind(tree: Tree) -> tuple[Tree, bool]:
    """A tree without the blanks at its very end, and whether there were any."""
    out = list(tree)
    while out and _is_blank(*out[-1]):
        del out[-1]
    return out, len(out) < len(tree)


def with_plain_beginning(tree: Tree) -> Tree:
    """A tree that may begin with any text, with a visible character at the beginning of that text.

    What stands there follows a name, which a blank or a bracket ends; blanks are passed over.
    """
    if not tree or tree[0][0] is not sre.MIN_REPEAT or [op for op, _ in tree[0][1][2]] != [sre.ANY]:
        return tree
    least, most, body = tree[0][1]
    visible = (sre.IN, [(sre.RANGE, pair) for pair in _VISIBLE])
    rest = most if most is sre.MAXREPEAT else most - 1
    begun = [visible, (sre.MIN_REPEAT, (max(least - 1, 0), rest, body))]
    return [*(begun if least else [(sre.MAX_REPEAT, (0, 1, begun))]), *tree[1:]]


def without_end(tree: Tree, stands: Callable[[str], bool]) -> Tree:
    """A tree without what says at its end only that the text may end there, or something follow that ends it anyway;
    nothing is left of one that says no more than that.

    Args:
        stands: told how what is looked ahead for begins, whether that is so.
    """
    if not tree:
        return tree
    op, arg = tree[-1]
    if len(tree) == 1 and _only_looks(tree, stands):
        return []
    if op is sre.SUBPATTERN:
        body = without_end(arg[3], stands)
        return [*tree[:-1], (op, (*arg[:3], body))] if body or len(tree) > 1 else []
    if op is not sre.BRANCH:
        return tree
    kept = [branch for branch in arg[1] if not _only_looks(branch, stands)]
    if len(kept) == len(arg[1]):
        return tree
    if not kept:
        return [] if len(tree) == 1 else tree
    return [*tree[:-1], *kept[0]] if len(kept) == 1 else [*tree[:-1], (op, (None, kept))]


def _only_looks(tree: Tree, stands: Callable[[str], bool]) -> bool:
    tree = without_blanks(tree)[0]
    if len(tree) != 1:
        return False
    op, arg = tree[0]
    if op is sre.AT:
        return arg in _AT_END
    if op is sre.SUBPATTERN:
        return _only_looks(arg[3], stands)
    if op is not sre.ASSERT or arg[0] != 1:
        return False
    body = arg[1]
    if len(body) == 1 and body[0][0] is sre.SUBPATTERN:
        body = body[0][1][3]
    branches = body[0][1][1] if len(body) == 1 and body[0][0] is sre.BRANCH else [body]
    return all(_at_end(branch) or stands(beginning(branch)) for branch in branches)


def _at_end(tree: Tree) -> bool:
    tree = without_blanks(tree)[0]
    return len(tree) == 1 and tree[0][0] is sre.AT and tree[0][1] in _AT_END


def without_look_ahead(tree: Tree, stands: Callable[[str], bool]) -> Tree:
    """A tree without a look-ahead at its end for what must follow anyway, as `stands` says of its beginning."""
    if tree and tree[-1][0] is sre.ASSERT and tree[-1][1][0] == 1 and stands(beginning(tree[-1][1][1])):
        return tree[:-1]
    return tree


def without_beginning(tree: Tree) -> tuple[Tree, bool]:
    """A tree without the alternative that says "the text's beginning", and whether it had one."""
    if len(tree) == 1:
        op, arg = tree[0]
        if op is sre.SUBPATTERN:
            return without_beginning(arg[3])
        if op is sre.AT and arg in _AT_BEGINNING:
            return [], True
        if op is sre.BRANCH:
            kept = [b for b in arg[1] if not (len(b) == 1 and b[0][0] is sre.AT and b[0][1] in _AT_BEGINNING)]
            if len(kept) < len(arg[1]):
                return (kept[0] if len(kept) == 1 else [(op, (None, kept))] if kept else []), True
    return tree, False


def unanchored(tree: Tree, at_end: bool = False) -> Tree:
    """A tree without the anchor at its beginning or end, where the text's beginning or end is meant in any case."""
    where, anchors = (-1, _AT_END) if at_end else (0, _AT_BEGINNING)
    while tree and tree[where][0] is sre.AT and tree[where][1] in anchors:
        tree = tree[:-1] if at_end else tree[1:]
    return tree


def beginning(tree: Tree) -> str:
    """The literal characters that a tree begins with, blanks aside."""
    text = ""
    for op, arg in without_blanks(tree)[0]:
        if op is sre.SUBPATTERN:
            return text + beginning(arg[3])
        if op is sre.IN and not text and all(o is sre.LITERAL for o, _ in arg):
            return chr(arg[0][1])
        if op is not sre.LITERAL:
            break
        text += chr(arg)
    return text


def literal_text(tree: Tree) -> str:
    """All literal characters of a tree, with NUL for everything else."""
    out = ""
    for op, arg in tree:
        if op is sre.LITERAL:
            out += chr(arg)
        elif op is sre.SUBPATTERN:
            out += literal_text(arg[3])
        elif op is sre.BRANCH:
            out += "\0".join(map(literal_text, arg[1]))
        elif op in _REPEATS:
            out += f"\0{literal_text(arg[2])}\0"
        else:
            out += "\0"
    return out


# -- writing ---------------------------------------------------------------------------------------------------


def regex(tree: Tree) -> str:
    """The text of a tree, bounded.

    Raises:
        UnsupportedPatternError: it has no bounded form.
    """
    open_ends = _open_ends(tree)
    return _text(tree, 64 if open_ends <= 1 else 32 if open_ends <= 3 else 16)


def _open_ends(tree: Tree) -> int:
    count = 0
    for op, arg in tree:
        if op in _REPEATS:
            count += (arg[1] is sre.MAXREPEAT) + _open_ends(arg[2])
        elif op is sre.SUBPATTERN:
            count += _open_ends(arg[3])
        elif op is sre.BRANCH:
            count += max(map(_open_ends, arg[1]))
    return count


def unbounded(node: tuple[Any, Any]) -> bool:
    """Whether an element has no longest match."""
    return _open_ends([node]) > 0


def _text(tree: Tree, bound: int) -> str:
    out = ""
    for index, (op, arg) in enumerate(tree):
        if op is sre.MIN_REPEAT and index + 1 < len(tree) and _excludes(arg[2], *tree[index + 1]):
            op = sre.MAX_REPEAT  # `[^>]*?>`: the shortest match is the longest
        out += _node(op, arg, bound)
    return out


def _excludes(body: Tree, op: Any, arg: Any) -> bool:
    """Whether a class leaves out the literal that follows it."""
    if op is not sre.LITERAL or len(body) != 1:
        return False
    kind, members = body[0]
    if kind is sre.NOT_LITERAL:
        return bool(members == arg)
    return kind is sre.IN and members[0][0] is sre.NEGATE and (sre.LITERAL, arg) in members


def _node(op: Any, arg: Any, bound: int) -> str:
    if op is sre.LITERAL:
        return escaped(chr(arg))
    if op is sre.NOT_LITERAL:
        return f"[^{escaped(chr(arg))}]"
    if op is sre.ANY:
        return r"[\s\S]"
    if op is sre.IN:
        return "[" + "".join(_member(o, a) for o, a in arg) + "]"
    if op is sre.SUBPATTERN:
        return f"(?:{_text(arg[3], bound)})"
    if op is sre.BRANCH:
        return "(?:" + "|".join(_text(branch, bound) for branch in arg[1]) + ")"
    if op in _REPEATS:
        return _repeat(op, arg, bound)
    if op in (sre.ASSERT, sre.ASSERT_NOT):
        raise UnsupportedPatternError("looks ahead" if arg[0] == 1 else "looks behind")
    if op is sre.AT:
        raise UnsupportedPatternError("is bound to the beginning or the end of the text or of a line")
    if op in (sre.GROUPREF, sre.GROUPREF_EXISTS, sre.GROUPREF_IGNORE):
        raise UnsupportedPatternError("refers back to a group")
    raise UnsupportedPatternError(f"uses {str(op).lower()}")


def _repeat(op: Any, arg: Any, bound: int) -> str:
    least, most, body = arg
    lazy = "?" if op is sre.MIN_REPEAT else ""
    if most is sre.MAXREPEAT:
        while len(body) == 1 and body[0][0] is sre.SUBPATTERN:
            body = body[0][1][3]
        if len(body) != 1 or body[0][0] not in _SINGLE:
            raise UnsupportedPatternError("repeats a group without a bound")
        if body[0][0] is sre.ANY and not lazy:
            raise UnsupportedPatternError("takes any text, as much as there is")
        most = max(least, bound)
    inner = _text(body, bound)
    inner = inner if len(body) == 1 and body[0][0] in (*_SINGLE, sre.SUBPATTERN) else f"(?:{inner})"
    times = "?" if (least, most) == (0, 1) else f"{{{least},{most}}}"
    return f"{inner}{times}{lazy}"


def _member(op: Any, arg: Any) -> str:
    if op is sre.NEGATE:
        return "^"
    if op is sre.LITERAL:
        return escaped(chr(arg))
    if op is sre.RANGE:
        return f"{escaped(chr(arg[0]))}-{escaped(chr(arg[1]))}"
    return _CATEGORIES[arg]


def spelled(tree: Tree, limit: int = 64) -> list[str] | None:
    """All texts that a tree matches; None if they are more than `limit`."""
    out = [""]
    for op, arg in tree:
        pieces: list[str] | None
        if op is sre.LITERAL:
            pieces = [chr(arg)]
        elif op is sre.IN and all(o is sre.LITERAL for o, _ in arg):
            pieces = [chr(a) for _, a in arg]
        elif op is sre.SUBPATTERN:
            pieces = spelled(arg[3], limit)
        elif op is sre.BRANCH:
            branches = [spelled(branch, limit) for branch in arg[1]]
            pieces = None if None in branches else [s for b in branches for s in b or ()]
        elif op in _REPEATS and arg[:2] == (0, 1):
            body = spelled(arg[2], limit)
            pieces = None if body is None else ["", *body]
        else:
            return None
        if pieces is None or len(out) * len(pieces) > limit:
            return None
        out = [a + b for a in out for b in pieces]
    return out

"""From a family to the engine's `Dialect`: its grammar compiled, once, on first use.

Theory. The registry knows families as data, the engine knows dialects; this is the only place that turns one
into the other. Every grammar watches for the openers of the other families; `auto` has a grammar of its own for
what all share, and becomes the family whose opener, or other marker, it meets (engine/watch.py).
"""

from __future__ import annotations

import os
import re
import string
import threading
from functools import lru_cache

from ..engine.compiled import VERSION, load
from ..engine.grammar import Grammar, compile_grammar
from ..engine.machine import Dialect
from ..engine.watch import Opener, Openers, Watch, in_order, openers_of
from . import registry
from .entry import Family
from .prebuilt import source_digest, source_text

__all__ = ["dialect", "family_openers", "is_made", "marker_texts"]

_ALNUM = string.ascii_letters + string.digits
_ALNUM9 = re.compile(r"[A-Za-z0-9]{9}")
_lock = threading.RLock()


def new_call_id() -> str:
    """An id as OpenAI's look."""
    return f"call_{os.urandom(12).hex()}"


def new_alnum9() -> str:
    """Nine alphanumerics, which is all that Mistral's templates accept."""
    found = ""
    while len(found) < 9:  # each of the 62 is as likely as any other
        found += "".join(_ALNUM[byte % 62] for byte in os.urandom(12) if byte < 4 * 62)
    return found[:9]


def dialect(family: Family, forced: bool = False) -> Dialect:
    """The engine's view of a family.

    Args:
        family: from the registry.
        forced: the request forced a call, so the answer may be bare JSON as constrained decoding writes it.

    Raises:
        GrammarError: the family's grammar does not compile.
    """
    return _dialect(family, forced, registry.generation())


@lru_cache(maxsize=512)
def _dialect(family: Family, forced: bool, generation: int) -> Dialect:
    with _lock:
        grammar = _grammar(family, generation) if family.kind != "passthrough" else None
    nine = family.id_format == "alnum9"
    return Dialect(
        id=family.id,
        grammar=grammar,
        bare=family.bare,
        untyped=family.untyped,
        quoted=family.quoted,
        no_call=frozenset(family.no_call),
        id_pattern=_ALNUM9 if nine else None,
        new_id=new_alnum9 if nine else new_call_id,
        adopts=family.kind == "auto",
        forced=forced,
        python=family.canonical.get("values") == "python" or family.canonical.get("arguments") == "dict",
        again=(dialect, family, forced) if is_made(family) else (_named, family.id, forced),
    )


def is_made(family: Family) -> bool:
    """Whether a family was made at run time: it is in no registry, and goes with whoever needs it."""
    return family.kind == "response_template" and "\n" in _file(family)


@lru_cache(maxsize=256)
def _grammar(family: Family, generation: int) -> Grammar:
    """A family's grammar, which watches for the openers of the others; made anew when there are other families."""
    grammar = _compiled(family)
    watch = Watch(_openers(generation, family.kind == "auto"), family.id, grammar)
    return grammar.watching(watch)


@lru_cache(maxsize=256)
def _compiled(family: Family) -> Grammar:
    name = _file(family)
    packaged = "\n" not in name
    text = registry.packaged_text(name) if packaged else name
    prebuilt = registry.prebuilt()
    # the same in every process that has the same grammar, so that parsers can be pickled
    made = prebuilt.source(name) if packaged else source_digest(text, registry.packaged_text)
    data = prebuilt.grammar(name) if packaged else None
    if data is not None and data.get("version") == VERSION:
        return load(data, f"{family.id}@{made}")
    return compile_grammar(source_text(text), f"{family.id}@{made}", registry.packaged_text)


def _file(family: Family) -> str:
    """The name of a family's grammar file, or the grammar's text."""
    if family.kind == "auto":
        return "auto.lark"
    registry.grammar_text(family)  # which says what is wrong, if it is not there
    return family.grammar or ""


@lru_cache(maxsize=4)
def _openers(generation: int, heralds: bool) -> Openers:
    """What is watched for of all families; with `heralds` also what only tells the family."""
    found = in_order((f.borrows, family_openers(f)) for f in registry.list_families() if f.kind == "grammar")
    if not heralds:
        found = [opener for opener in found if opener.kind != "herald"]
    return Openers(found, _named, registry.prebuilt().summary(found))


def family_openers(family: Family) -> list[Opener]:
    """What others watch for of a family."""
    name = _file(family)
    if "\n" not in name:
        known = registry.prebuilt().openers(family.id, name)
        if known is not None:
            return [Opener(*row) for row in known]
    return openers_of(family.id, _compiled(family))


def _named(family_id: str, forced: bool) -> Dialect:
    return dialect(registry.get_family(family_id), forced)


def marker_texts(family_id: str) -> list[str]:
    """Literal spellings of a family's markers, for tests and docs."""
    grammar = dialect(registry.get_family(family_id)).grammar
    if grammar is None:
        return []
    return sorted({s for spellings in grammar.spellings.values() for s in spellings})

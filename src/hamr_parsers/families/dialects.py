"""From a family to the engine's `Dialect`: its grammar compiled, once, on first use.

Theory. The registry knows families as data, the engine knows dialects; this is the only place that turns one
into the other. A family of kind `auto` has a grammar of its own for what all families share, and in addition
watches for the openers of every other family: meeting one, the machine goes on as that family
(`Grammar.switch`).
"""

from __future__ import annotations

import re
import secrets
import string
import threading
from functools import lru_cache

from ..engine.grammar import Grammar, compile_grammar
from ..engine.machine import Dialect
from . import registry
from .entry import Family

__all__ = ["dialect", "marker_texts"]

_ALNUM = string.ascii_letters + string.digits
_ALNUM9 = re.compile(r"[A-Za-z0-9]{9}")
_lock = threading.RLock()

_FORCED = """
%extend start: forced part*
forced: FORCED_LIST forced_items END_FORCED_LIST | forced_items | alone_call
alone_call: JSON_ARGUMENTS
forced_items: forced_call | forced_items FORCED_SEPARATOR? forced_call
forced_call: JSON_CALL
FORCED_LIST: "["
END_FORCED_LIST: "]"
FORCED_SEPARATOR: ","
"""


def new_call_id() -> str:
    """An id as OpenAI's look."""
    return f"call_{secrets.token_hex(12)}"


def new_alnum9() -> str:
    """Nine alphanumerics, which is all that Mistral's templates accept."""
    return "".join(secrets.choice(_ALNUM) for _ in range(9))


def dialect(family: Family, forced: bool = False) -> Dialect:
    """The engine's view of a family.

    Args:
        family: from the registry.
        forced: the request forced a call, so the answer may be bare JSON as constrained decoding writes it.

    Raises:
        GrammarError: the family's grammar does not compile.
    """
    return _dialect(family, forced, registry.generation() if family.kind == "auto" else 0)


@lru_cache(maxsize=512)
def _dialect(family: Family, forced: bool, generation: int) -> Dialect:
    with _lock:
        grammar = _grammar(family, forced, generation)
    nine = family.id_format == "alnum9"
    return Dialect(
        id=family.id,
        grammar=grammar,
        bare=family.bare,
        untyped=family.untyped,
        id_pattern=_ALNUM9 if nine else None,
        new_id=new_alnum9 if nine else new_call_id,
    )


def _grammar(family: Family, forced: bool, generation: int) -> Grammar | None:
    if family.kind == "passthrough":
        return None
    text = registry.packaged_text("auto.lark") if family.kind == "auto" else registry.grammar_text(family)
    key = family.id + ("+forced" if forced else "") + (f"@{generation}" if generation else "")
    grammar = compile_grammar(text + (_FORCED if forced else ""), key, registry.packaged_text)
    if family.kind == "auto":
        for other in registry.list_families():
            if other.kind == "grammar":
                target = dialect(other, forced)
                assert target.grammar is not None
                grammar.watch(other.id, target.grammar, target)
    return grammar


def marker_texts(family_id: str) -> list[str]:
    """Literal spellings of a family's markers, for tests and docs."""
    grammar = dialect(registry.get_family(family_id)).grammar
    if grammar is None:
        return []
    return sorted({s for spellings in grammar.spellings.values() for s in spellings})

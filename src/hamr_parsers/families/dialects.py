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
from functools import lru_cache, partial

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

# where models of a family reason first
_FORCED_LATER = {
    "think": "%extend start: think forced part*\n",
    "start_in_reasoning": "%extend start_in_reasoning: THINK* REASONING? END_THINK forced part*\n",
}


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
    return _dialect(family, forced, registry.generation())


@lru_cache(maxsize=512)
def _dialect(family: Family, forced: bool, generation: int) -> Dialect:
    grammar = None
    if family.kind != "passthrough":
        with _lock:
            grammar = _compiled(family, forced, generation)
            for other in registry.list_families():
                if other.kind == "grammar" and other.id != family.id:
                    grammar.watch(
                        other.id, _compiled(other, False, generation), partial(_named, other.id, forced)
                    )
    nine = family.id_format == "alnum9"
    return Dialect(
        id=family.id,
        grammar=grammar,
        bare=family.bare,
        untyped=family.untyped,
        id_pattern=_ALNUM9 if nine else None,
        new_id=new_alnum9 if nine else new_call_id,
        adopts=family.kind == "auto",
        again=(_named, family.id, forced),
    )


@lru_cache(maxsize=512)
def _compiled(family: Family, forced: bool, generation: int) -> Grammar:
    text = registry.packaged_text("auto.lark") if family.kind == "auto" else registry.grammar_text(family)
    if forced:
        text += _FORCED + "".join(
            more for rule, more in _FORCED_LATER.items() if re.search(rf"\b{rule}\b", text)
        )
    # a pickled parser finds its grammar by this key in another process, which has seen other registrations
    own = family.grammar is not None and "\n" in family.grammar
    key = f"{family.id}:{f'@{generation}' if own else family.grammar}" + ("+forced" if forced else "")
    return compile_grammar(text, key, registry.packaged_text)


def _named(family_id: str, forced: bool) -> Dialect:
    return dialect(registry.get_family(family_id), forced)


def marker_texts(family_id: str) -> list[str]:
    """Literal spellings of a family's markers, for tests and docs."""
    grammar = dialect(registry.get_family(family_id)).grammar
    if grammar is None:
        return []
    return sorted({s for spellings in grammar.spellings.values() for s in spellings})

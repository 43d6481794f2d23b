"""What can be read off a family's entry and grammar without parsing anything, in words for people."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from . import registry
from .dialects import dialect, family_openers
from .entry import CANONICAL_FIELD, Family

__all__ = ["Facts", "facts"]

_SHOWN = {
    "name": "NAME",
    "arguments": "{...}",
    "id": "ID",
    "index": "0",
    "number": "1",
    "key": "KEY",
    "value": "VALUE",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """
    Attributes:
        shape: one call as the family's template spells it, with words in place of what differs.
        markers: what begins a call in it.
        reasoning: `no`, or `yes`, and whether prompts open it.
        ids: whose id a call gets: the model's, or one that is made in the family's way.
    """

    shape: str
    markers: tuple[str, ...]
    reasoning: str
    ids: str


def facts(family: Family) -> Facts:
    """What there is to know about a family."""
    return _facts(family, registry.generation())


@lru_cache(maxsize=512)
def _facts(family: Family, generation: int) -> Facts:
    return Facts(_shape(family), _markers(family), _reasoning(family), _ids(family))


def _shape(family: Family) -> str:
    if family.kind == "passthrough":
        return "never parses text"
    if family.kind == "auto":
        return "whatever any family writes"
    spelled = family.canonical
    if "call" not in spelled:
        return ""
    call = spelled["call"]
    if "{params}" in call:
        param = spelled.get("param") or spelled.get("param_string") or spelled.get("param_json") or ""
        if spelled.get("arguments") is None:
            call = call.replace("{params}", param)
    joined = spelled.get("head", "") + call + spelled.get("tail", "").replace("{content}", "")
    words = dict(_SHOWN)
    if spelled.get("arguments") == "python":
        words["arguments"] = "KEY=VALUE, ..."
    elif spelled.get("arguments") == "tokens":
        words["arguments"] = "{KEY:VALUE, ...}"
    return CANONICAL_FIELD.sub(lambda m: words.get(m[0][1:-1], m[0][1:-1].upper()), joined).strip()


def _markers(family: Family) -> tuple[str, ...]:
    if family.kind != "grammar":
        return ()
    return tuple(dict.fromkeys(o.literal.strip() for o in family_openers(family) if o.kind == "call"))


def _reasoning(family: Family) -> str:
    if not family.reasoning:
        return "no"
    if ".*" in family.always_reasoning:
        return "yes, opened by the prompt"
    return "yes, opened by some prompts" if family.always_reasoning else "yes"


def _ids(family: Family) -> str:
    if family.kind != "grammar":
        return "-"
    grammar = dialect(family).grammar
    assert grammar is not None
    made = "9 characters" if family.id_format == "alnum9" else "call_..."
    own = {"CALL_ID", "INDEXED_NAME"} & grammar.terminals or "{id}" in family.canonical.get("call", "")
    return f"the model's, else {made}" if own else made

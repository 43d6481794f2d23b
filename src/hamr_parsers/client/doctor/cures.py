"""What to do about what was found: which parser to set, which flag the server needs, how else to ask.

Theory. Two things tell the family: the text of a call that came raw somewhere (`detect`), and the model's name. From
the family follow the lines of `usage`; of the servers only that one is told which answers, or all of them if nobody
knows which it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...detect import detect
from ...families import registry
from ...select import resolve_parser
from ...usage import usage
from .identify import Identity
from .prompts import TOOLS

__all__ = ["Family", "family_of", "parser_lines", "server_lines"]

_SERVERS = {"vllm": "vLLM", "sglang": "SGLang", "llamacpp": "llama.cpp", "relay": "llama.cpp"}
_NONE = ("auto", "openai", "generic")


@dataclass(frozen=True, slots=True)
class Family:
    """The family that a model's calls are written in, as far as is known. `id` "" if it is not."""

    id: str
    why: str


def family_of(model: str, text: str | None) -> Family:
    """The family of a model: by the raw text of an answer with a call if there is one, else by its name."""
    if text:
        found = detect(text, TOOLS, model=model)
        if found.family is not None and found.best is not None and found.best.calls:
            return Family(found.family, "by the text of its call")
    named = resolve_parser(model=model)
    if named.parser not in _NONE:
        return Family(named.parser, "by its name")
    return Family("", "")


def parser_lines(family: Family, configured: str) -> list[str]:
    """How to choose the family here, unless it is chosen already."""
    if not family.id or family.id == configured:
        return []
    return [f'set tool_call_parser = "{family.id}" for this model or provider ({family.why})']


def server_lines(family: Family, identity: Identity) -> list[str]:
    """How to start the server so that it parses the family's calls itself."""
    if not family.id:
        return []
    wanted = _SERVERS.get(identity.kind)
    if identity.kind and wanted is None:
        return []
    lines = []
    for line in usage(registry.get_family(family.id)):
        if line.tool not in _SERVERS.values() or (wanted is not None and line.tool != wanted):
            continue
        if line.line is not None:
            lines.append(f"{line.tool}: {line.line}" + (f" ({line.note})" if line.note else ""))
        elif wanted is not None:
            lines.append(f"{line.tool}: {line.note}")
    return lines

"""What is computed from the families' files ahead of time, and whether it still is what they say.

Theory. Reading seventy entries and building a table with lark would be most of what the first parser of a
process costs. So the package ships `prebuilt/`: `index.json` (every entry as JSON, the openers that other
families watch for, and the search pattern made of them) and one `<grammar>.json` for each grammar (its table,
see `engine/compiled.py`). `python -m hamr_parsers.families.build` writes them.

Every piece carries a digest of the files that it was made from. A piece whose files have changed since, or
that is missing, is not used: then the entry is read and the grammar compiled as if nothing were prebuilt. So a
stale file can cost time and never an answer.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["FOLDER", "FORMAT", "INDEX", "Prebuilt", "digest", "source_digest", "source_text"]

FORMAT: Final = 6
"""Of the index and of the digests; an index of another is not read."""

FOLDER: Final = "prebuilt"
INDEX: Final = "index.json"

_IMPORT: Final = re.compile(r"%import +\.(\w+)")

_FORCED: Final = """
start_forced: start | forced start{after_thinking}
forced: FORCED_LIST forced_items END_FORCED_LIST | forced_items | alone_call
alone_call: JSON_ARGUMENTS
forced_items: forced_call | forced_items FORCED_SEPARATOR? forced_call
forced_call: JSON_CALL
FORCED_LIST: "["
END_FORCED_LIST: "]"
FORCED_SEPARATOR: ","
"""
_FORCED_IN_REASONING: Final = "start_in_reasoning_forced: start_in_reasoning | {reasoned} forced start\n"


def source_text(text: str) -> str:
    """A family's grammar with what every family gets: the starts of an answer that was forced to call.

    Constrained decoding writes bare JSON: a list of calls, one call, or the arguments alone, behind the
    reasoning where a family's models reason first.
    """
    more = _FORCED.format(after_thinking=" | think forced start" if _has(text, "think") else "")
    if _has(text, "start_in_reasoning"):
        # a family whose reasoning is more than text has a rule for it
        reasoned = "reasoned" if _has(text, "reasoned") else "THINK* REASONING? END_THINK"
        more += _FORCED_IN_REASONING.format(reasoned=reasoned)
    return text + more


def _has(text: str, rule: str) -> bool:
    """Whether a grammar defines or imports a rule of this name."""
    return re.search(rf"^(?:{rule}:|%import[^\n]*\b{rule}\b)", text, re.MULTILINE) is not None


def digest(*texts: str) -> str:
    """What tells whether texts have changed."""
    made = hashlib.blake2b(str(FORMAT).encode(), digest_size=12)
    for text in texts:
        made.update(b"\0" + text.encode())
    return made.hexdigest()


def source_digest(text: str, read: Callable[[str], str], known: dict[str, str] | None = None) -> str:
    """The digest of a grammar and of all that it imports.

    Args:
        text: the grammar.
        read: gives the text of a grammar file.
        known: digests of grammar files by name; is added to.
    """
    known = {} if known is None else known
    imported = []
    for name in sorted(set(_IMPORT.findall(text))):
        if name not in known:
            known[name] = source_digest(read(f"{name}.lark"), read, known)
        imported.append(known[name])
    return digest(text, *imported)


class Prebuilt:
    """The files of `prebuilt/`, read when they are asked for.

    Args:
        read: gives the text of a file beside the entries.
    """

    def __init__(self, read: Callable[[str], str]) -> None:
        self._read = read
        self._digests: dict[str, str] = {}  # of grammar files, by name
        try:
            index = json.loads(read(f"{FOLDER}/{INDEX}"))
        except (OSError, ValueError):
            index = {}
        usable = isinstance(index, dict) and index.get("version") == FORMAT
        self.index: Mapping[str, Any] = index if usable else {}
        self._families: Mapping[str, Any] = self.index.get("families", {})

    def source(self, name: str) -> str:
        """The `source_digest` of a packaged grammar file."""
        name = name.removesuffix(".lark")
        if name not in self._digests:
            self._digests[name] = source_digest(self._read(f"{name}.lark"), self._read, self._digests)
        return self._digests[name]

    def entry(self, id_: str, text: str) -> Mapping[str, Any] | None:
        """What the text of an entry's file says (`Family.checked`), if that is known."""
        known = self._families.get(id_)
        return known["entry"] if known is not None and known["text"] == digest(text) else None

    def grammar(self, name: str) -> Mapping[str, Any] | None:
        """The compiled grammar of a packaged grammar file, if it was made from what the file says now."""
        try:
            data: Mapping[str, Any] = json.loads(self._read(f"{FOLDER}/{name.removesuffix('.lark')}.json"))
        except (OSError, ValueError):
            return None
        usable = isinstance(data, dict) and data.get("digest") == self.source(name)
        return data if usable else None

    def openers(self, id_: str, grammar: str) -> list[list[Any]] | None:
        """What others watch for of a packaged family, if its grammar file is as it was."""
        known = self._families.get(id_)
        if known is None or known["grammar"] != grammar or known["source"] != self.source(grammar):
            return None
        found: list[list[Any]] = known["openers"]
        return found

    def summary(self, openers: object) -> tuple[str, str] | None:
        """`Openers.summary` of a list of openers, if it was made from the same."""
        found = self.index.get("summaries", {}).get(digest(json.dumps(openers)))
        return (found[0], found[1]) if found else None

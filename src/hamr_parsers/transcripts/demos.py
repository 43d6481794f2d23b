"""The transcripts that ship with the package: one case record a family, in `demo/<family id>.json`.

They are what `hamr-parse demo` plays, and the first thing that a family's tests check.
"""

from __future__ import annotations

import re
from importlib.resources import files

from .cases import CaseRecord, read_records

__all__ = ["demo_record", "token_like"]

# About what one token of a model brings; only the places of the cuts matter, and they should look natural.
_TOKEN = re.compile(r"\s?\w{1,5}|\s+|[^\w\s]{1,3}")


def demo_record(family: str) -> CaseRecord | None:
    """The demo of a family (by its id), or None if it has none."""
    resource = files(__package__).joinpath("demo", f"{family}.json")
    if not resource.is_file():
        return None
    return read_records(resource.read_text(encoding="utf-8"), f"demo/{family}.json")[0]


def token_like(text: str) -> list[str]:
    """The text in pieces as a server would stream it: about a token each. Joined, they are the text."""
    return _TOKEN.findall(text)

"""The parser matrix as documents: an overview, a page a family, and Hamr's view of it.

Theory. Nothing in them is written by hand. What a family is comes from the registry and its grammar, what its
parser does from running the fixtures (measure.py); pages.py puts it into words, markdown.py sets it. The same
inputs give the same texts, to the letter, so that a test can tell whether the committed files are stale.
"""

from __future__ import annotations

from pathlib import Path

from .measure import FixturesError, Measured, measure
from .pages import COMMAND, data, documents

__all__ = ["COMMAND", "FixturesError", "Measured", "build", "data", "documents", "measure", "stale", "write"]


def build(fixtures: Path) -> dict[str, str]:
    """Every document of the matrix, by its file name.

    Raises:
        FixturesError: the fixtures cannot be read.
    """
    return documents(measure(fixtures))


def stale(folder: Path, built: dict[str, str]) -> list[str]:
    """The files in a folder that are not as they were built, or should not be there."""
    there = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))}
    gone = [name for name, text in there.items() if name not in built and _is_built(text)]
    return sorted(gone + [name for name, text in built.items() if there.get(name) != text])


def _is_built(text: str) -> bool:
    return COMMAND in text.partition("\n")[0]


def write(folder: Path, built: dict[str, str]) -> list[str]:
    """Bring a folder up to date; returns the names of the files that changed. Files that were built once and are
    no part of the matrix any more are removed, others stay."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = stale(folder, built)
    for name in changed:
        path = folder / name
        if name in built:
            path.write_text(built[name], encoding="utf-8", newline="\n")
        else:
            path.unlink()
    return changed

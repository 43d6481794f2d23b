"""Applying a patch to a directory.

Theory. A hunk's lines (context and removed ones) must stand exactly once in its file; where they stand does not
matter. A patch that does not fit is an error that names file and hunk, never half-applied silently: the same
lines in another file would be another defect.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path


class PatchError(Exception):
    """The patch does not fit; the message names the patch, the file and the hunk."""


def title(patch: Path) -> str:
    """What the defect is: the first line."""
    return patch.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")


def apply(patch: Path, root: Path) -> None:
    """Apply a unified diff (paths as `b/src/...` or `src/...`) under root.

    Raises:
        PatchError: a file is missing, or a hunk's lines are not there exactly once.
    """
    done = 0
    for name, before, after in _hunks(patch.read_text(encoding="utf-8")):
        file = root / name
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        count = text.count(before)
        if count != 1:
            raise PatchError(f"{patch.name}: {name}: these lines are there {count} times:\n{before}")
        file.write_text(text.replace(before, after), encoding="utf-8")
        done += 1
    if not done:
        raise PatchError(f"{patch.name}: no hunk in it")


def _hunks(text: str) -> Iterator[tuple[str, str, str]]:
    name = ""
    before: list[str] = []
    after: list[str] = []
    inside = False
    for line in [*text.splitlines(), "@@"]:
        if line.startswith(("@@", "--- ")):
            if before or after:
                yield name, "".join(before), "".join(after)
            before, after = [], []
            inside = line.startswith("@@")
        elif line.startswith("+++ ") and not inside:
            name = re.sub(r"^b/", "", line[4:].split("\t")[0].strip())
        elif inside and line[:1] in (" ", ""):
            before.append(line[1:] + "\n")
            after.append(line[1:] + "\n")
        elif inside and line[0] == "-":
            before.append(line[1:] + "\n")
        elif inside and line[0] == "+":
            after.append(line[1:] + "\n")

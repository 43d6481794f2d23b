"""Writing a provider into models.json without losing anything that stands there.

Theory. The file belongs to the user and to Hamr: what this module does not know stays, in its order, and only the keys
of one provider change. The new text goes to a file beside it that only the user can read, and takes the old one's
place in one step: a reader sees the old file or the new one, and a crash leaves the old one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from .files import read_text
from .models_json import parse_models_json, without_comments
from .source import shown_path

__all__ = ["Written", "put_provider"]

_INDENT = re.compile(r"\n([ \t]+)\S")


class Written:
    """What was written: the file, whether the provider was new, which models were added, and a copy of the old
    file, if it had comments (JSON cannot keep them)."""

    __slots__ = ("added", "backup", "new", "path")

    def __init__(self, path: Path, new: bool, added: list[str], backup: Path | None) -> None:
        self.path = path
        self.new = new
        self.added = added
        self.backup = backup


def put_provider(
    path: Path, name: str, values: Mapping[str, Any], models: Iterable[Mapping[str, Any]] = ()
) -> Written:
    """Set keys of a provider, and add models that it does not list yet.

    Args:
        values: keys of the provider to set; None removes one.
        models: entries for `models`; those whose id is listed already stay as the user has them.

    Raises:
        ConfigurationError: the file cannot be read, used or written; then it is as it was.
    """
    path = Path(os.path.realpath(path))  # a link to the file stays a link
    text = read_text(path)
    plain = "{}" if text is None or not text.strip() else text
    _, data = parse_models_json(plain, path)
    providers = data.setdefault("providers", {})
    new = name not in providers
    provider = providers.setdefault(name, {})
    for key, value in values.items():
        if value is None:
            provider.pop(key, None)
        else:
            provider[key] = value
    added: list[str] = []
    listed = {entry["id"] for entry in provider.get("models") or ()}
    for entry in models:
        if entry["id"] not in listed:
            listed.add(entry["id"])
            added.append(entry["id"])
            if not provider.get("models"):
                provider["models"] = []
            provider["models"].append(dict(entry))
    indent = _INDENT.search(plain)
    made = json.dumps(data, ensure_ascii=False, indent=indent[1] if indent else 2) + "\n"
    parse_models_json(made, path)  # what we write, we can read
    backup = None
    if text is not None and text.strip() and without_comments(text) != text:
        backup = path.with_name(path.name + ".bak")
        _replace(backup, text)
    _replace(path, made)
    return Written(path, new, added, backup)


def _replace(path: Path, text: str) -> None:
    temporary = ""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp: nobody else can read it, and no name is guessed
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise ConfigurationError(
            f"cannot be written: {error.strerror}", file=Path(shown_path(path))
        ) from None
    except UnicodeEncodeError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise ConfigurationError("holds text that is not Unicode (a lone surrogate)", file=path) from None

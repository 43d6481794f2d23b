"""What both kinds of configuration file share: reading text, and errors of pydantic in our words.

Theory. A wrong value is told by the file, its key path and what is wanted, never by its content: that may be a key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import ConfigurationError

__all__ = ["MAX_BYTES", "key_path", "read_text", "validation_error"]

#: A configuration file is small; what is larger is the wrong file.
MAX_BYTES = 8 * 1024 * 1024

_WANTED = {
    "string_type": "a string is wanted",
    "bool_type": "true or false is wanted",
    "int_type": "a whole number is wanted",
    "int_from_float": "a whole number is wanted",
    "float_type": "a number is wanted",
    "dict_type": "an object is wanted",
    "mapping_type": "an object is wanted",
    "model_type": "an object is wanted",
    "model_attributes_type": "an object is wanted",
    "list_type": "a list is wanted",
    "string_too_short": "must not be empty",
    "greater_than": "must be more than 0",
}
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "a boolean"),
    (str, "a string"),
    ((int, float), "a number"),
    (type(None), "null"),
    (list, "a list"),
    (dict, "an object"),
)


def read_text(path: Path) -> str | None:
    """The text of a file, None if there is none.

    Raises:
        ConfigurationError: it cannot be read, is no UTF-8, or is far too large.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigurationError(
                f"larger than {MAX_BYTES >> 20} MiB; is it a configuration file?", file=path
            )
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except IsADirectoryError:
        raise ConfigurationError("is a directory; a file is wanted", file=path) from None
    except OSError as error:
        raise ConfigurationError(f"cannot be read: {error.strerror}", file=path) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError("is not UTF-8; save it as UTF-8", file=path, line=line) from None


def key_path(loc: Sequence[str | int]) -> str:
    """`("providers", "x", "models", 0, "id")` as `providers.x.models[0].id`."""
    out = ""
    for part in loc:
        if isinstance(part, int):
            out += f"[{part}]"
        else:
            plain = bool(part) and all(c.isalnum() or c in "_-" for c in part)
            out += ("." if out else "") + (part if plain else f'"{part}"')
    return out


def validation_error(
    error: ValidationError, path: Path, *, line_of: Callable[[Sequence[str | int]], int | None] | None = None
) -> ConfigurationError:
    """The first thing that is wrong, as an error of ours."""
    found = error.errors(include_url=False)
    first = found[0]
    # A union reports one error a branch, with the branch's name behind the key.
    loc = list(first["loc"])
    if len(loc) > 1 and loc[-1] in ("bool", "str"):
        loc.pop()
    kind = first["type"]
    if kind == "missing":
        reason = f"{loc.pop()} is required"
    elif kind == "literal_error":
        reason = f"must be {first['ctx']['expected']}"
    elif kind in _WANTED:
        reason = _WANTED[kind]
        if reason.endswith("wanted"):
            reason += f", not {_kind(first.get('input'))}"
    else:
        reason = first["msg"].removeprefix("Value error, ")
    line = line_of(loc) if line_of is not None else None
    return ConfigurationError(reason, file=path, key=key_path(loc), line=line)


def _kind(value: Any) -> str:
    return next((name for kind, name in _KINDS if isinstance(value, kind)), type(value).__name__)

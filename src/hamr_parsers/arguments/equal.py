"""When two JSON values are the same, whatever Python says of their types."""

from __future__ import annotations

__all__ = ["same_value"]


def same_value(a: object, b: object) -> bool:
    """Equal as JSON values: 5 is 5.0, but true is not 1."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a == b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same_value(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same_value, a, b))
    return type(a) is type(b) and a == b

"""What a gateway serves: the answer of `/models`, as every server writes it.

Theory. OpenAI's shape is `{"data": [{"id": ...}]}`; llama.cpp and Ollama have `models` too, and each server has its
own name for the context window. One table of names reads them all; what cannot be read is no model. The answer is
what the gateway has now: it is fetched anew each time and never kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ServedModel", "served_models"]

#: Where servers write the context window, the more telling first: what is loaded before what could be.
_CONTEXT = (
    ("meta", "n_ctx"),  # llama.cpp
    ("loaded_context_length",),  # LM Studio
    ("max_model_len",),  # vLLM
    ("context_window",),  # Groq, Relay
    ("contextWindow",),
    ("context_length",),  # OpenRouter
    ("max_context_length",),  # LM Studio
    ("max_input_tokens",),
    ("meta", "n_ctx_train"),  # llama.cpp
)
_MAX_MODELS = 10_000


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One model of `/models`. `raw` is the gateway's whole entry."""

    id: str
    name: str | None = None
    context_window: int | None = None
    input: tuple[str, ...] | None = None
    owned_by: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def traits(self) -> dict[str, Any]:
        """What the gateway says of it, by the names of a model's settings."""
        said = {"name": self.name, "context_window": self.context_window}
        return {k: v for k, v in said.items() if v is not None} | (
            {"input": list(self.input)} if self.input else {}
        )


def served_models(payload: Any) -> list[ServedModel] | None:
    """The models in an answer of `/models`, each id once; None if it is no such answer."""
    entries: Any = payload
    if isinstance(payload, Mapping):
        entries = next((payload[k] for k in ("data", "models") if isinstance(payload.get(k), list)), None)
        if entries is None and payload.get("object") == "list":
            entries = payload.get("data") or []  # `"data": null` for none
    if not isinstance(entries, list):
        return None
    found: dict[str, ServedModel] = {}
    for entry in entries[:_MAX_MODELS]:
        model = _model(entry)
        if model is not None:
            found.setdefault(model.id, model)
    if entries and not found:
        return None
    return list(found.values())


def _model(entry: Any) -> ServedModel | None:
    if isinstance(entry, str):
        return ServedModel(entry) if entry else None
    if not isinstance(entry, Mapping):
        return None
    id_ = next(
        (entry[k] for k in ("id", "model", "name") if isinstance(entry.get(k), str) and entry[k]), None
    )
    if id_ is None:
        return None
    name = next(
        (
            entry[k]
            for k in ("display_name", "name")
            if isinstance(entry.get(k), str) and entry[k] not in ("", id_)
        ),
        None,
    )
    owner = entry.get("owned_by")
    return ServedModel(
        id_,
        name,
        _context(entry),
        _input(entry),
        owner if isinstance(owner, str) else None,
        dict(entry),
    )


def _context(entry: Mapping[str, Any]) -> int | None:
    for path in _CONTEXT:
        value: Any = entry
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def _input(entry: Mapping[str, Any]) -> tuple[str, ...] | None:
    architecture = entry.get("architecture")
    kinds = architecture.get("input_modalities") if isinstance(architecture, Mapping) else entry.get("input")
    if isinstance(kinds, list) and all(isinstance(kind, str) for kind in kinds):
        return tuple(kind for kind in ("text", "image") if kind in kinds) or None
    return None

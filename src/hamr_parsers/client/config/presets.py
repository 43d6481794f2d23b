"""The gateways that the login form knows, and where they listen by default.

Source: Hamr's login form; the servers' own documentation has the same ports.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT_BASE_URL", "PRESETS", "Preset", "find_preset"]

DEFAULT_BASE_URL = "http://127.0.0.1:1234/v1"


@dataclass(frozen=True, slots=True)
class Preset:
    """One gateway: `api_key` is what to write if the user gives none, `hint` what to say when asking for one."""

    id: str
    title: str
    base_url: str | None
    api_key: str | None = None
    hint: str = ""


PRESETS = (
    Preset("relay", "Relay", DEFAULT_BASE_URL, "not-needed", "none, or $RELAY_API_KEY"),
    Preset("lmstudio", "LM Studio", DEFAULT_BASE_URL, "not-needed", "none"),
    Preset("llamacpp", "llama.cpp", "http://127.0.0.1:8080/v1", "not-needed", "none"),
    Preset("ollama", "Ollama", "http://127.0.0.1:11434/v1", "ollama", "any word"),
    Preset("vllm", "vLLM", "http://127.0.0.1:8000/v1", "not-needed", "none, or the server's --api-key"),
    Preset("custom", "Custom", None, None, "the gateway's, or none"),
)


def _folded(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def find_preset(name: str) -> Preset | None:
    """The preset of this id or title, however it is spelled (`LM Studio`, `lm-studio`, `llama.cpp`)."""
    wanted = _folded(name)
    return next((p for p in PRESETS if wanted in (_folded(p.id), _folded(p.title))), None)

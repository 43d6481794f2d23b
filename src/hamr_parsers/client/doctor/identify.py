"""Which server answers, and in which version: by its headers, its list of models, and the paths that only it has.

Theory. Each kind of gateway has a path that no other has (llama.cpp `/props`, vLLM `/version`, Ollama `/api/version`,
Relay `/relay/status`, SGLang `/get_server_info`, LM Studio `/api/v0/models`). They are tried in an order that asks the
outermost first (Relay stands before a llama.cpp whose headers shine through), and only as far as needed. An answer
tells by its fields, and only if a path beside it that nobody has is not answered in the same way: some servers answer
every path. What nobody claims stays unknown: nothing is guessed from the port.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .gateway import Gateway

__all__ = ["Identity", "identify", "quantization"]

TITLES = {
    "relay": "Relay",
    "litellm": "LiteLLM",
    "ollama": "Ollama",
    "lmstudio": "LM Studio",
    "vllm": "vLLM",
    "sglang": "SGLang",
    "llamacpp": "llama.cpp",
    "transformers": "transformers serve",
    "openrouter": "OpenRouter",
}

#: The paths that tell a kind: (path, kind, the fields of which one must be there, where the version is).
_PATHS: tuple[tuple[str, str, tuple[str, ...], str | None], ...] = (
    ("/relay/status", "relay", ("status", "state", "model", "models", "version", "upstream"), "version"),
    ("/api/version", "ollama", ("version",), "version"),
    ("/get_server_info", "sglang", ("version", "model_path"), "version"),
    ("/props", "llamacpp", ("build_info", "default_generation_settings", "total_slots"), "build_info"),
    ("/version", "vllm", ("version",), "version"),
    ("/api/v0/models", "lmstudio", ("data",), None),
)
#: Of LM Studio's own list of models: the fields of an entry that the API's list does not have.
_LMSTUDIO = ("state", "arch", "publisher", "compatibility_type", "max_context_length")
_NOBODYS = "no-such-path-of-any-server"
_OWNERS = {
    "vllm": "vllm",
    "sglang": "sglang",
    "llamacpp": "llamacpp",
    "library": "ollama",
    "organization_owner": "lmstudio",
    "transformers": "transformers",
}
_QUANTIZATION = re.compile(
    r"(?<![A-Za-z0-9])("
    r"(?:UD-)?I?Q[1-8](?:_[A-Z0-9]{1,3}){0,3}|TQ[12]_0|"
    r"[BF]F?16|F32|FP(?:4|8|16|32)|(?:NV|MX)FP4|MXFP8|"
    r"INT[48]|W[0-9]{1,2}A[0-9]{1,2}|AWQ|GPTQ|EXL[23]|HQQ|AQLM|BNB|[2-8](?:\.[0-9]+)?-?BIT"
    r")(?![A-Za-z0-9])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Identity:
    """What answers. `kind` is a key of `TITLES`, or "" if nobody knows; `version` "" if it did not say."""

    kind: str = ""
    version: str = ""
    evidence: str = ""

    @property
    def title(self) -> str:
        """As people call it."""
        return TITLES.get(self.kind, "unknown")


def identify(gateway: Gateway, headers: Mapping[str, str], models: Any) -> Identity:
    """Which server it is; at most one look at each path."""
    version = headers.get("x-litellm-version")
    if version:
        return Identity("litellm", version, "header x-litellm-version")
    if "openrouter.ai" in gateway.connection.base_url:
        return Identity("openrouter", "", "its address")
    owner = _owner(models)
    for path, kind, fields, where in _PATHS:
        status, _, value = gateway.look(path)
        if status != 200 or not isinstance(value, Mapping) or not any(name in value for name in fields):
            continue
        if fields == ("version",) and not isinstance(value.get("version"), str):
            continue
        if kind == "lmstudio" and not any(name in _first(value) for name in _LMSTUDIO):
            continue
        if kind == "vllm" and owner not in ("vllm", None) and "max_model_len" not in _first(models):
            continue  # others have a /version too
        if _answers_all(gateway, path, fields):
            continue
        told = value.get(where) if where else ""
        return Identity(kind, told if isinstance(told, str) else "", f"answers {path}")
    if "llama.cpp" in headers.get("server", ""):
        return Identity("llamacpp", "", "header server")
    if owner is not None:
        return Identity(owner, "", f"its models are owned by {_first(models).get('owned_by')}")
    return Identity()


def _answers_all(gateway: Gateway, path: str, fields: tuple[str, ...]) -> bool:
    """Whether a path beside this one, which no server has, is answered alike."""
    status, _, value = gateway.look(path[: path.rindex("/") + 1] + _NOBODYS)
    return status == 200 and isinstance(value, Mapping) and any(name in value for name in fields)


def _first(models: Any) -> Mapping[str, Any]:
    data = models.get("data") if isinstance(models, Mapping) else None
    first = data[0] if isinstance(data, list) and data else {}
    return first if isinstance(first, Mapping) else {}


def _owner(models: Any) -> str | None:
    owner = _first(models).get("owned_by")
    return _OWNERS.get(owner) if isinstance(owner, str) else None


def quantization(model: str, entry: Mapping[str, Any]) -> str:
    """How the model's weights are packed: as the gateway says, or as its name does; "unknown" if neither tells."""
    meta = entry.get("meta")
    details = entry.get("details")
    for place in (entry, meta, details):
        if isinstance(place, Mapping):
            for key in ("quantization", "quantization_level", "ftype"):
                if isinstance(place.get(key), str) and place[key]:
                    return str(place[key])
    found = _QUANTIZATION.findall(model.replace("/", " "))
    return str(found[-1]).upper() if found else "unknown"

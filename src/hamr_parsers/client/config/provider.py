"""A provider and its models as all files together describe them, every value with its source.

Theory. A `Provider` is what the files say; nothing is resolved, so that a provider nobody uses needs no
environment. `Provider.model(id)` is what holds for one model, in the order of Hamr: the gateway's own word about it,
the provider's, the listed model's, the override's; a listed model replaces what the gateway says. Which parser reads
its text is decided there too: the override's, the listed model's, the provider's, detection by name, `auto`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...select import Resolution, resolve_parser
from .compat import Compat
from .interpolate import Template
from .source import Source, Sourced

__all__ = ["API", "DEFAULT_CONTEXT_WINDOW", "DEFAULT_MAX_TOKENS", "ModelSettings", "Provider"]

#: The one API that the client speaks.
API = "openai-completions"
#: Hamr's defaults for a model of which nothing is known.
DEFAULT_CONTEXT_WINDOW = 128_000
DEFAULT_MAX_TOKENS = 16_384

#: The fields of a model that files may give, by our names.
FIELDS = (
    "name",
    "reasoning",
    "input",
    "cost",
    "context_window",
    "max_tokens",
    "thinking_levels",
    "api",
    "tool_call_parser",
)

Values = dict[str, Sourced[Any]]


@dataclass(slots=True)
class Layer:
    """What one place in a file says of a model: fields, `compat` and headers."""

    source: Source
    values: Values = field(default_factory=dict)
    compat: Compat = field(default_factory=Compat)
    headers: dict[str, Template] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSettings:
    """What holds for one model of one provider.

    Attributes:
        id: the name that the API gets.
        values: every known field with its source; the properties are their values.
        compat: merged: provider, model, override; `compat_sources` says which key came from where.
        headers: the headers that requests for this model carry, unresolved.
        resolution: which parser reads its text, and why; `parser_source` where that comes from.
        listed: whether a file lists the model.
    """

    id: str
    values: Mapping[str, Sourced[Any]]
    compat: Compat
    compat_sources: Mapping[str, Source]
    headers: Mapping[str, Template]
    resolution: Resolution
    parser_source: Source
    listed: bool = False

    def _get(self, name: str, default: Any = None) -> Any:
        found = self.values.get(name)
        return default if found is None else found.value

    @property
    def name(self) -> str:
        """The label; the id if there is none."""
        return str(self._get("name", self.id))

    @property
    def parser(self) -> str:
        """The id of the parser that reads its text."""
        return self.resolution.parser

    @property
    def reasoning(self) -> bool | None:
        """Whether it can think; None: not known."""
        found: bool | None = self._get("reasoning")
        return found

    @property
    def input(self) -> list[str]:
        """What it takes: `text`, `image`."""
        return list(self._get("input", ["text"]))

    @property
    def context_window(self) -> int:
        """Tokens of context."""
        return int(self._get("context_window", DEFAULT_CONTEXT_WINDOW))

    @property
    def max_tokens(self) -> int:
        """Most tokens of an answer."""
        return int(self._get("max_tokens", DEFAULT_MAX_TOKENS))

    @property
    def thinking_levels(self) -> Mapping[str, str | None]:
        """`thinkingLevelMap`."""
        found: Mapping[str, str | None] = self._get("thinking_levels", {})
        return found


@dataclass
class Provider:
    """One gateway, as the files (or a preset, or options) describe it."""

    name: str
    source: Source
    label: Sourced[str] | None = None
    id: Sourced[str] | None = None
    enabled: Sourced[bool] | None = None
    api: Sourced[str] | None = None
    base_url: Sourced[str] | None = None
    api_key: Template | None = field(default=None, repr=False)
    headers: dict[str, Template] = field(default_factory=dict, repr=False)
    auth_header: Sourced[bool] | None = None
    compat: Compat = field(default_factory=Compat)
    compat_sources: dict[str, Source] = field(default_factory=dict)
    models: dict[str, Layer] = field(default_factory=dict)
    overrides: dict[str, Layer] = field(default_factory=dict)
    default_model: Sourced[str] | None = None
    tool_call_parser: Sourced[str] | None = None

    @property
    def is_enabled(self) -> bool:
        """False only where a file says so."""
        return self.enabled is None or self.enabled.value

    def named(self, name: str) -> bool:
        """Whether the provider is meant by a name: its key, its `id` or its label."""
        known = [self.name, *(s.value for s in (self.id, self.label) if s is not None)]
        return name in known or name.lower() in (k.lower() for k in known)

    def find_model(self, name: str) -> str | None:
        """The id of the listed model that a name means: its id, or its label in any case."""
        if name in self.models:
            return name
        wanted = name.lower()
        for layers in (self.models, self.overrides):
            for id_, layer in layers.items():
                label = layer.values.get("name")
                if label is not None and str(label.value).lower() == wanted:
                    return id_
        return next((id_ for id_ in self.models if id_.lower() == wanted), None)

    def named_levels(self) -> list[str]:
        """The thinking levels that a `thinkingLevelMap` of its models names."""
        layers = (*self.models.values(), *self.overrides.values())
        maps = [
            layer.values["thinking_levels"].value for layer in layers if "thinking_levels" in layer.values
        ]
        return list(dict.fromkeys(level for map_ in maps for level in map_))

    def unknown_overrides(self, served: Iterable[str]) -> list[str]:
        """The ids of `modelOverrides` that no listed or served model has: they have no effect."""
        known = {*self.models, *served}
        return [id_ for id_ in self.overrides if id_ not in known]

    def model(
        self,
        id: str,
        *,
        served: Mapping[str, Any] | None = None,
        tool_call_parser: str | None = None,
    ) -> ModelSettings:
        """What holds for the model `id`.

        Args:
            served: what the gateway itself says of it, by the names of `FIELDS`.
            tool_call_parser: what an option says; it wins.

        Raises:
            UnknownParserError: `tool_call_parser` is none.
        """
        values: Values = {}
        compat, sources = self.compat, dict(self.compat_sources)
        headers = dict(self.headers)
        listed = self.models.get(id)
        if listed is None:
            gateway = Source("gateway", "/models")
            values.update({k: Sourced(v, gateway) for k, v in (served or {}).items() if v is not None})
        for layer in (listed, self.overrides.get(id)):
            if layer is None:
                continue
            values.update(layer.values)
            compat = layer.compat.over(compat)
            sources.update(_sources(layer.compat, layer.source))
            headers = merged_headers(headers, layer.headers)
        resolution, source = self._parser(id, values, tool_call_parser)
        return ModelSettings(id, values, compat, sources, headers, resolution, source, listed is not None)

    def _parser(self, id: str, values: Values, option: str | None) -> tuple[Resolution, Source]:
        if option is not None:
            return resolve_parser(model=id, parser=option), Source("option", "tool_call_parser")
        named: Sourced[str] | None = values.get("tool_call_parser") or self.tool_call_parser
        if named is not None:
            return resolve_parser(model=id, tool_call_parser=named.value), named.source
        found = resolve_parser(model=id)
        label = values.get("name")
        if found.source == "auto" and label is not None:
            by_label = resolve_parser(model=str(label.value))
            if by_label.source != "auto":
                found = by_label
        kind = "default" if found.source == "auto" else "detected"
        return found, Source(kind, "by the model's name" if kind == "detected" else "")  # type: ignore[arg-type]


def _sources(compat: Compat, source: Source) -> dict[str, Source]:
    return {
        key: Source(source.kind, source.what, source.file, f"{source.key}.compat.{key}")
        for key in compat.said()
    }


def merged_headers(below: Mapping[str, Template], above: Mapping[str, Template]) -> dict[str, Template]:
    """Headers over others; a name counts in any case."""
    lowered = {name.lower() for name in above}
    return {**{k: v for k, v in below.items() if k.lower() not in lowered}, **above}

"""The configuration: which files there are, and what they say together.

Theory. Three files, the later over the earlier, field by field: `models.json`, the user's `config.toml`, the
repository's `.hamr.toml`. Each is turned into `Provider`s whose every value knows its file and key, and these are
laid over each other. What is wrong anywhere is an error at once, also in a provider that is not in use: a setting
that is silently ignored costs more time than one that stops. Only what depends on the environment or on the gateway
waits until it is needed.

`.hamr.toml` comes with a repository, which may be anyone's: it gets no secret of the user for a gateway that only it
names (trust.py).
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from ...errors import UnknownParserError
from ...families.registry import get_family
from ..errors import ConfigurationError, ProviderError, nearest, some, without_frames
from .compat import THINKING_FORMATS, Compat, odd_level
from .interpolate import Template, variable
from .models_json import ModelsFile, OverrideEntry, read_models_json
from .presets import DEFAULT_BASE_URL, PRESETS, find_preset
from .provider import API, Layer, Provider, _sources, merged_headers
from .source import Source, Sourced
from .toml import ModelTable, ProviderTable, TomlFile, read_toml
from .trust import check_repository

__all__ = [
    "CONNECTION_HEADERS",
    "Configuration",
    "ConfigurationFile",
    "check_base_url",
    "check_header_name",
    "default_models_json",
    "is_loopback",
    "load_configuration",
]

#: What TOML's `compatibility` may say for the API that the client speaks.
_COMPATIBILITIES = ("openai", "openai-compatible", "openai_compatible", API, "chat_completions")
#: Headers that frame a request or belong to the connection (RFC 9110 and 9112): another value breaks it.
CONNECTION_HEADERS = (
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
)


@dataclass(frozen=True, slots=True)
class ConfigurationFile:
    """A file that was looked for."""

    what: Literal["models.json", "config.toml", ".hamr.toml"]
    path: Path
    found: bool


@dataclass
class Configuration:
    """All that the files say.

    Attributes:
        providers: by name, in the order of the files.
        files: the files that were looked for.
        warnings: what was odd but stops nothing, a sentence each.
    """

    providers: dict[str, Provider] = field(default_factory=dict)
    active_provider: Sourced[str] | None = None
    active_model: Sourced[str] | None = None
    thinking: Sourced[str] | None = None
    files: list[ConfigurationFile] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def provider(self, name: str | None = None, model: str | None = None) -> Provider:
        """The provider that a name means; without one, the active provider, or the one that lists `model`.

        With no configured provider at all: Hamr's default gateway. A preset's name needs no configuration.

        Raises:
            ProviderError: there is none of this name, it is switched off, speaks another API, or several are
                configured and none is active.
        """
        if name is not None:
            return self._usable(self._named(name))
        enabled = [p for p in self.providers.values() if p.is_enabled]
        if self.active_provider is not None:
            wanted, source = self.active_provider.value, self.active_provider.source
            return self._usable(self._named(wanted, source))
        if len(enabled) > 1 and model is not None:
            listing = [p for p in enabled if p.find_model(model) is not None]
            if len(listing) == 1:
                enabled = listing
        if not enabled:
            if self.providers:
                raise ProviderError(
                    f"every provider is switched off (enabled = false): {some(self.providers)}; name one with"
                    " --provider, or switch one on"
                )
            source = Source("default")
            return Provider("default", source, base_url=Sourced(DEFAULT_BASE_URL, source))
        if len(enabled) > 1:
            raise ProviderError(
                f"{len(enabled)} providers are configured and none is active: name one with --provider"
                f' ({", ".join(p.name for p in enabled)}), or set `[active] provider = "{enabled[0].name}"` in'
                " ~/.config/hamr/config.toml"
            )
        return self._usable(enabled[0])

    def _named(self, name: str, source: Source | None = None) -> Provider:
        if name in self.providers:
            return self.providers[name]
        found = next((p for p in self.providers.values() if p.named(name)), None)
        if found is not None:
            return found
        preset = find_preset(name)
        if preset is not None and preset.base_url is not None:
            at = Source("preset", preset.id)
            key = Template(preset.api_key, at) if preset.api_key else None
            return Provider(preset.id, at, base_url=Sourced(preset.base_url, at), api_key=key)
        known = [*self.providers]
        close = nearest(name, [*known, *(p.id for p in PRESETS)])
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else ""
        if not hint:
            hint = (
                f"configured: {some(known)}" if known else "none is configured; `hamr-parse login` adds one"
            )
        at_file = source.file if source is not None else None
        raise ProviderError(
            f"no provider {name!r}; {hint}", file=at_file, key=source.key if source and at_file else None
        )

    def _usable(self, provider: Provider) -> Provider:
        if not provider.is_enabled and provider.enabled is not None:
            raise ProviderError(
                f"provider {provider.name!r} is switched off; set `enabled = true`",
                file=provider.enabled.source.file,
                key=provider.enabled.source.key,
            )
        api = provider.api
        if api is not None and api.value.lower() not in _COMPATIBILITIES:
            raise ProviderError(
                f'"{api.value}" is an API that this client does not speak; if the gateway has /chat/completions'
                f' too, set it to "{API}"',
                file=api.source.file,
                key=api.source.key,
            )
        return provider


def default_models_json(environ: Mapping[str, str] | None = None) -> Path:
    """Where Hamr keeps it: `~/.hamr/agent/models.json`."""
    return _home(environ) / ".hamr" / "agent" / "models.json"


def load_configuration(
    *,
    config: str | Path | None = None,
    models_json: str | Path | None = None,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Configuration:
    """Read the files as Hamr does.

    Args:
        config: a TOML file to read instead of the user's and the repository's.
        models_json: a file to read instead of `~/.hamr/agent/models.json`.
        cwd: where the search for `.hamr.toml` begins, upwards to the repository's root.
        environ: the environment that tells where home is.

    Raises:
        ConfigurationError: a file cannot be read or used, or a file that was named is not there. The message
            names file, line where it is known, and key.
    """
    with without_frames():
        return _load(config, models_json, cwd, environ)


def _load(
    config: str | Path | None,
    models_json: str | Path | None,
    cwd: Path | None,
    environ: Mapping[str, str] | None,
) -> Configuration:
    found = Configuration()
    path = Path(models_json) if models_json is not None else default_models_json(environ)
    read = read_models_json(path)
    _note(found, "models.json", path, read is not None, models_json is not None)
    layers: list[tuple[dict[str, Provider], Path | None]] = []  # with the path of a repository's file
    if read is not None:
        layers.append((_of_models_json(read[0], path), None))

    tomls: list[tuple[Literal["config.toml", ".hamr.toml"], Path]] = []
    if config is not None:
        tomls.append(("config.toml", Path(config)))
    else:
        tomls.append(("config.toml", _user_toml(environ)))
        local = _local_toml(cwd or Path.cwd(), _home(environ))
        if local is not None:
            tomls.append((".hamr.toml", local))
    legacy: Sourced[str] | None = None
    for what, path in tomls:
        file = read_toml(path)
        _note(found, what, path, file is not None, config is not None)
        if file is None:
            continue
        layers.append((_of_toml(file, path), path if what == ".hamr.toml" else None))
        legacy = _activate(found, file, path) or legacy
    if found.active_provider is None:
        found.active_provider = legacy

    led_away: dict[str, tuple[Provider | None, Path]] = {}  # providers whose URL is a repository's
    for layer, repository in layers:
        for name, provider in layer.items():
            below = found.providers.get(name)
            if repository is not None and provider.base_url is not None:
                led_away[name] = (below, repository)
            found.providers[name] = provider if below is None else _over(provider, below)
    for name, provider in found.providers.items():
        _check(provider, found)
        if name in led_away and provider.base_url is not None:
            below, repository = led_away[name]
            here = is_loopback(provider.base_url.value)
            check_repository(provider, below, repository, local=here, own=_user_toml(environ))
    if found.thinking is not None:
        named = [level for provider in found.providers.values() for level in provider.named_levels()]
        odd = odd_level(found.thinking.value, named)
        if odd is not None:
            found.warnings.append(f"{found.thinking.source}: {odd}")
    return found


# --- files --------------------------------------------------------------------------------------------------


def _home(environ: Mapping[str, str] | None) -> Path:
    if environ is not None and environ.get("HOME"):
        return Path(environ["HOME"])
    try:
        return Path.home()
    except RuntimeError:
        raise ConfigurationError("no home directory is known; set HOME") from None


def _user_toml(environ: Mapping[str, str] | None) -> Path:
    """`$XDG_CONFIG_HOME/hamr/config.toml` if that is there, else `~/.config/hamr/config.toml`."""
    home = _home(environ) / ".config" / "hamr" / "config.toml"
    xdg = (os.environ if environ is None else environ).get("XDG_CONFIG_HOME", "")
    if xdg and Path(xdg).is_absolute():
        path = Path(xdg) / "hamr" / "config.toml"
        if path.exists() or not home.exists():
            return path
    return home


def _local_toml(cwd: Path, home: Path) -> Path | None:
    """The nearest `.hamr.toml`, not above the repository or the home directory."""
    here = cwd.absolute()
    for directory in (here, *here.parents):
        path = directory / ".hamr.toml"
        if path.exists():
            return path
        if directory == home or (directory / ".git").exists():
            return None
    return None


def _note(
    found: Configuration,
    what: Literal["models.json", "config.toml", ".hamr.toml"],
    path: Path,
    there: bool,
    asked: bool,
) -> None:
    if asked and not there:
        raise ConfigurationError("no such file", file=path)
    found.files.append(ConfigurationFile(what, path, there))


# --- models.json --------------------------------------------------------------------------------------------


def _of_models_json(file: ModelsFile, path: Path) -> dict[str, Provider]:
    out: dict[str, Provider] = {}
    for name, entry in file.providers.items():
        at = _At(path, f"providers.{name}")
        provider = Provider(
            name,
            at.source(),
            label=at.value("name", entry.name),
            api=at.value("api", entry.api),
            base_url=at.value("baseUrl", entry.baseUrl),
            api_key=at.template("apiKey", entry.apiKey),
            headers=at.headers(entry.headers),
            auth_header=at.value("authHeader", entry.authHeader),
            tool_call_parser=at.value("tool_call_parser", entry.tool_call_parser),
        )
        at.compat(provider, entry.compat)
        for index, model in enumerate(entry.models or ()):
            provider.models[model.id] = _layer(model, _At(path, f"{at.key}.models[{index}]"))
        for id_, override in (entry.modelOverrides or {}).items():
            provider.overrides[id_] = _layer(override, _At(path, f'{at.key}.modelOverrides."{id_}"'))
        out[name] = provider
    return out


_KEYS = {"context_window": "contextWindow", "max_tokens": "maxTokens", "thinking_levels": "thinkingLevelMap"}


def _layer(entry: OverrideEntry, at: _At) -> Layer:
    said = {
        "name": entry.name,
        "reasoning": entry.reasoning,
        "input": entry.input,
        "cost": entry.cost,
        "context_window": entry.contextWindow,
        "max_tokens": entry.maxTokens,
        "thinking_levels": entry.thinkingLevelMap,
        "api": getattr(entry, "api", None),
        "tool_call_parser": entry.tool_call_parser,
    }
    layer = Layer(at.source(), compat=entry.compat or Compat(), headers=at.headers(entry.headers))
    for field_, value in said.items():
        if value is not None:
            layer.values[field_] = Sourced(value, at.source(_KEYS.get(field_, field_)))
    return layer


# --- TOML ---------------------------------------------------------------------------------------------------


def _of_toml(file: TomlFile, path: Path) -> dict[str, Provider]:
    out: dict[str, Provider] = {}
    if file.provider is not None:
        table = file.provider
        at = _At(path, "provider")
        preset = find_preset(table.kind) if table.kind else None
        base_url = at.value("base_url", table.base_url)
        if base_url is None and preset is not None and preset.base_url is not None:
            base_url = Sourced(preset.base_url, Source("preset", preset.id))
        name = table.kind or "default"
        out[name] = Provider(
            name,
            at.source(),
            base_url=base_url,
            api_key=at.template("api_key", table.api_key),
            default_model=at.value("model", table.model),
            tool_call_parser=at.value("tool_call_parser", table.tool_call_parser),
        )
    for name, entry in file.providers.items():
        out[name] = _of_table(name, entry, _At(path, f"providers.{name}"))
    return out


def _of_table(name: str, table: ProviderTable, at: _At) -> Provider:
    api_key = at.template("api_key", table.api_key)
    if table.api_key_env is not None:
        api_key = variable(table.api_key_env, at.source("api_key_env"))
    provider = Provider(
        name,
        at.source(),
        label=at.value("name", table.name),
        id=at.value("id", table.id),
        enabled=at.value("enabled", table.enabled),
        api=at.value("compatibility", table.compatibility),
        base_url=at.value("base_url", table.base_url),
        api_key=api_key,
        headers=at.headers(table.headers),
        default_model=at.value("model", table.model),
        tool_call_parser=at.value("tool_call_parser", table.tool_call_parser),
    )
    at.compat(provider, table.compat)
    for index, model in enumerate(table.models or ()):
        provider.models[model.id] = _model_table(model, _At(at.path, f"{at.key}.models[{index}]"))
    return provider


def _model_table(table: ModelTable, at: _At) -> Layer:
    layer = Layer(at.source(), compat=table.compat or Compat())
    for field_, key, value in (
        ("name", "display_name", table.display_name),
        ("context_window", "context_window", table.context_window),
        ("reasoning", "supports_thinking", table.supports_thinking),
        ("tool_call_parser", "tool_call_parser", table.tool_call_parser),
    ):
        if value is not None:
            layer.values[field_] = Sourced(value, at.source(key))
    return layer


def _activate(found: Configuration, file: TomlFile, path: Path) -> Sourced[str] | None:
    """Take over `[active]`; the name of a `[provider]` of the older form, which is active if nothing else is."""
    at = _At(path, "active")
    active = file.active
    if active.provider is not None:
        found.active_provider = at.value("provider", active.provider)
        found.active_model = None  # a model of another provider
    if active.model is not None:
        found.active_model = at.value("model", active.model)
    if active.thinking is not None:
        level = {True: "on", False: "off"}.get(active.thinking) if isinstance(active.thinking, bool) else None
        found.thinking = at.value("thinking", level or str(active.thinking))
    if file.provider is None:
        return None
    return Sourced(file.provider.kind or "default", Source("file", file=path, key="provider"))


@dataclass(frozen=True, slots=True)
class _At:
    """A place in a file."""

    path: Path
    key: str

    def source(self, key: str = "") -> Source:
        return Source("file", file=self.path, key=f"{self.key}.{key}" if key else self.key)

    def value(self, key: str, value: Any) -> Sourced[Any] | None:
        return None if value is None else Sourced(value, self.source(key))

    def template(self, key: str, text: str | None) -> Template | None:
        """An empty text is no value."""
        if not text:
            return None
        template = Template(text, self.source(key))
        template.check()
        return template

    def headers(self, headers: Mapping[str, str] | None) -> dict[str, Template]:
        out: dict[str, Template] = {}
        for name, text in (headers or {}).items():
            key = f"headers.{name}"
            try:
                check_header_name(name)
            except ConfigurationError as error:
                raise ConfigurationError(error.reason, file=self.path, key=f"{self.key}.{key}") from None
            template = Template(text, self.source(key))
            template.check()
            out = merged_headers(out, {name: template})
        return out

    def compat(self, provider: Provider, compat: Compat | None) -> None:
        if compat is not None:
            provider.compat = compat
            provider.compat_sources = _sources(compat, self.source())


# --- together -----------------------------------------------------------------------------------------------


def _over(above: Provider, below: Provider) -> Provider:
    """One file's provider over an earlier file's, field by field."""
    fields = ("label", "id", "enabled", "api", "base_url", "api_key", "auth_header")
    changed = {
        name: getattr(above, name)
        for name in (*fields, "default_model", "tool_call_parser")
        if getattr(above, name) is not None
    }
    return replace(
        below,
        source=above.source,
        headers=merged_headers(below.headers, above.headers),
        compat=above.compat.over(below.compat),
        compat_sources={**below.compat_sources, **above.compat_sources},
        models={**below.models, **above.models},
        overrides={**below.overrides, **above.overrides},
        **changed,
    )


def check_base_url(url: str) -> str:
    """The URL without a trailing slash.

    Raises:
        ConfigurationError: it is no base URL; the message says what is wrong and the way out.
    """
    text = url.strip()
    try:
        parts = urlsplit(text)
        port_ok = parts.port is None or parts.port > 0
        readable = text.isprintable() and not any(c in text for c in ' \\<>^`{|}"')
    except ValueError:
        # Without its text: where the host and the port cannot be told apart, a password cannot either.
        raise ConfigurationError(
            f"the URL's host or port cannot be read; write it as in {DEFAULT_BASE_URL}"
        ) from None
    if not readable:
        raise ConfigurationError(
            f"the URL holds a blank or another character that no URL has; write it as in {DEFAULT_BASE_URL}"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_ok:
        raise ConfigurationError(f"{_safe(text)!r} is no http(s) URL; write it as in {DEFAULT_BASE_URL}")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            "the URL holds a user name or password, which would end up in logs; use the API key or a header"
        )
    if parts.query or parts.fragment:
        raise ConfigurationError(
            "the URL must end with its path; what stands after `?` or `#` belongs in a header"
        )
    base = text.rstrip("/")
    for tail in ("/chat/completions", "/completions", "/models"):
        base = base.removesuffix(tail)  # a URL copied out of an example
    return base


def _safe(url: str) -> str:
    """The URL without what may be a password or a key: before `@`, behind `?` and `#`."""
    return re.split(r"[?#]", url.rpartition("@")[2])[0]


def check_header_name(name: str) -> None:
    """Refuse what is no name of a header, and a header that is not the user's to set.

    Raises:
        ConfigurationError: says which it is; the caller knows the place.
    """
    if not name or not name.isascii() or not all(c.isalnum() or c in "!#$%&'*+-.^_`|~" for c in name):
        raise ConfigurationError("is no name of a header")
    if name.lower() in CONNECTION_HEADERS:
        raise ConfigurationError(
            f"{name} is set by the connection itself and cannot be configured; remove it"
        )


def is_loopback(url: str) -> bool:
    """Whether a URL means this machine."""
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _check(provider: Provider, found: Configuration) -> None:
    source = provider.source
    base_url = provider.base_url
    if base_url is None or not base_url.value.strip():
        if provider.is_enabled:
            json_form = source.file is not None and source.file.suffix == ".json"
            raise ConfigurationError(
                f"{'baseUrl' if json_form else 'base_url'} is required", file=source.file, key=source.key
            )
    else:
        try:
            provider.base_url = Sourced(check_base_url(base_url.value), base_url.source)
        except ConfigurationError as error:
            raise ConfigurationError(
                error.reason, file=base_url.source.file, key=base_url.source.key
            ) from None
    parsers: list[Sourced[Any] | None] = [provider.tool_call_parser]
    layers = [*provider.models.values(), *provider.overrides.values()]
    parsers += [layer.values.get("tool_call_parser") for layer in layers]
    for named in parsers:
        if named is not None:
            _check_parser(named)
    formats = [(provider.compat, source.key), *((layer.compat, layer.source.key) for layer in layers)]
    for compat, key in formats:
        said = compat.thinking_format
        if said is not None and said not in THINKING_FORMATS:
            found.warnings.append(
                f"{key}.compat.thinkingFormat: {said!r} is not known here and has no effect; known:"
                f" {', '.join(THINKING_FORMATS)}"
            )


def _check_parser(named: Sourced[str]) -> None:
    try:
        get_family(named.value)
    except UnknownParserError as error:
        raise ConfigurationError(
            str(error).replace(
                "hamr_parsers.list_families() and `hamr-parse parsers` list", "`hamr-parse parsers` lists"
            ),
            file=named.source.file,
            key=named.source.key,
        ) from None

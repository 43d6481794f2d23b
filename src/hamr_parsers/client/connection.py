"""Which gateway, which key, which model: the configuration and the caller's options brought together.

Theory. `Connection` is what a client (or `models`, `doctor`, `serve`) works with: a provider, the options laid over
it, and the rules by which a model is chosen. It resolves secrets when headers are made and keeps nothing of them but
what it needs to blank them in a gateway's own words. No HTTP here.

An explicit `base_url` alone is a gateway of its own: no key that a file has for another one is sent to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from .._version import __version__
from ..families.registry import get_family
from .config.compat import odd_level
from .config.interpolate import Template
from .config.load import Configuration, check_base_url, check_header_name, load_configuration
from .config.provider import ModelSettings, Provider, merged_headers
from .config.source import Source, Sourced
from .discovery import ServedModel
from .errors import ConfigurationError, UnknownModelError, some

__all__ = ["Connection", "SecretHeaders", "connect"]

_SHORTEST_SECRET = 6  # shorter values are words that a gateway may well say itself


class SecretHeaders(dict[str, str]):
    """Headers whose values are not shown."""

    def __repr__(self) -> str:
        return f"<headers {', '.join(self)}>"

    __str__ = __repr__


@dataclass
class Connection:
    """A provider and the options over it.

    Attributes:
        configuration: what the files say; None if none was read.
        tool_call_parser, thinking, model_option: what options say, None if nothing.
        allow_commands: whether `!command` values may be run.
    """

    provider: Provider
    configuration: Configuration | None = None
    model_option: str | None = None
    tool_call_parser: str | None = None
    thinking: Sourced[str] | None = None
    allow_commands: bool = False
    _secrets: list[SecretStr] = field(default_factory=list, repr=False)
    _resolved: dict[Template, SecretStr] = field(default_factory=dict, repr=False)

    @property
    def base_url(self) -> str:
        """Without a trailing slash."""
        assert self.provider.base_url is not None
        return self.provider.base_url.value

    @property
    def warnings(self) -> list[str]:
        """What the files or the options hold that is odd."""
        found = list(self.configuration.warnings) if self.configuration is not None else []
        # A file's level was judged where it was read.
        if self.thinking is not None and self.thinking.source.kind != "file":
            odd = odd_level(self.thinking.value, self.provider.named_levels())
            found += [odd] if odd is not None else []
        return found

    def configured_model(self) -> Sourced[str] | None:
        """The model that options or files name, as an id for the API; None if they leave it open."""
        provider, found = self.provider, self.configuration
        chosen: Sourced[str] | None = None
        if self.model_option is not None:
            chosen = Sourced(self.model_option, Source("option", "model"))
        elif found is not None and found.active_model is not None and self._is_active:
            chosen = found.active_model
        elif provider.default_model is not None:
            chosen = provider.default_model
        elif len(provider.models) == 1:
            id_, layer = next(iter(provider.models.items()))
            chosen = Sourced(id_, layer.source)
        if chosen is None:
            return None
        return Sourced(provider.find_model(chosen.value) or chosen.value, chosen.source)

    @property
    def _is_active(self) -> bool:
        found = self.configuration
        return found is not None and (
            found.active_provider is None or self.provider.named(found.active_provider.value)
        )

    def choose(self, name: str | None, served: Iterable[ServedModel]) -> ServedModel:
        """The served model that a name means, or the only one that is served.

        Raises:
            UnknownModelError: none has this name, or several are served and none is named.
        """
        listed = list(served)
        if name is None:
            if len(listed) == 1:
                return listed[0]
            if not listed:
                raise UnknownModelError("", [], url=self.base_url)
            raise ConfigurationError(
                f"{self.base_url} has {len(listed)} models and none is chosen; name one:"
                f" {some(m.id for m in listed)}"
            )
        wanted = name.lower()
        tests: tuple[Callable[[ServedModel], bool], ...] = (
            lambda m: m.id == name,
            lambda m: m.id.lower() == wanted,
            lambda m: (m.name or "").lower() == wanted,
            # Ollama's `:latest`, and the name of a file without its folder
            lambda m: m.id.lower() == f"{wanted}:latest" or m.id.lower().rpartition("/")[2] == wanted,
        )
        for test in tests:
            found = [m for m in listed if test(m)]
            if len(found) == 1:
                return found[0]
        raise UnknownModelError(name, [m.id for m in listed], url=self.base_url)

    def model(self, id: str, served: ServedModel | None = None) -> ModelSettings:
        """What holds for a model."""
        known = served.traits() if served is not None else None
        return self.provider.model(id, served=known, tool_call_parser=self.tool_call_parser)

    def headers(
        self, model: ModelSettings | None = None, environ: Mapping[str, str] | None = None
    ) -> SecretHeaders:
        """The headers that a request carries: the configured ones, and `Authorization` for the API key.

        Raises:
            MissingVariableError, CommandNotAllowedError, ConfigurationError: a value cannot be resolved.
        """
        provider = self.provider
        out = SecretHeaders({"user-agent": f"hamr-parsers/{__version__}"})
        templates = model.headers if model is not None else provider.headers
        for name, template in templates.items():
            out[name.lower()] = self._open(template, environ)
        wanted = provider.auth_header is None or provider.auth_header.value
        if wanted and provider.api_key is not None and "authorization" not in out:
            out["authorization"] = f"Bearer {self._open(provider.api_key, environ)}"
        return out

    def _open(self, template: Template, environ: Mapping[str, str] | None) -> str:
        secret = self._resolved.get(template)
        if secret is None:
            secret = template.resolve(environ, allow_commands=self.allow_commands)
            if template.is_command:  # a command runs once a client, not once a request
                self._resolved[template] = secret
            if secret not in self._secrets:
                self._secrets.append(secret)
        return secret.get_secret_value()

    def blank(self, text: str) -> str:
        """A gateway's words without the secrets that were sent to it."""
        for secret in self._secrets:
            value = secret.get_secret_value()
            if len(value) >= _SHORTEST_SECRET:
                text = text.replace(value, "***")
        return text

    def sends_key(self) -> bool:
        """Whether requests carry something that could be a key."""
        return self.provider.api_key is not None or bool(self.provider.headers)


def connect(
    *,
    provider: str | None = None,
    base_url: str | None = None,
    api_key: str | SecretStr | Template | None = None,
    model: str | None = None,
    headers: Mapping[str, str | Template] | None = None,
    tool_call_parser: str | None = None,
    thinking: str | bool | None = None,
    configuration: Configuration | None = None,
    config: str | Path | None = None,
    models_json: str | Path | None = None,
    allow_commands: bool = False,
) -> Connection:
    """The gateway to talk to. Options win over files; without `base_url` the files are read as Hamr does.

    Args:
        provider: the name of a configured provider, or of a preset.
        base_url: a gateway's URL; without `provider`, no file is read.
        api_key: a literal key, or a template.
        model: an id, or the label of a listed model.
        headers: more headers, over those of the provider.
        tool_call_parser: the parser of every model.
        thinking: a level (`off`, `low`, ...), or a bool.
        configuration: what was already read; else `config` and `models_json` name files to read.
        allow_commands: run values that are commands (`!...`).

    Raises:
        ConfigurationError: an option or a file cannot be used.
        UnknownParserError: there is no such parser.
    """
    # From here on no variable of a frame shows them.
    api_key = SecretStr(api_key) if isinstance(api_key, str) else api_key
    given = {name: _template(value, f"header {name}") for name, value in (headers or {}).items()}
    del headers
    for name in given:
        try:
            check_header_name(name)
        except ConfigurationError as error:
            raise ConfigurationError(error.reason, key=f"header {name}") from None
    if tool_call_parser is not None:
        get_family(tool_call_parser)
    alone = base_url is not None and provider is None
    if configuration is None and not (alone and config is None and models_json is None):
        configuration = load_configuration(config=config, models_json=models_json)
    chosen: Provider
    if alone:
        source = Source("option", "base_url")
        chosen = Provider("custom", source, base_url=Sourced("", source))
    else:
        assert configuration is not None
        chosen = configuration.provider(provider, model)
    changes: dict[str, Any] = {}
    if base_url is not None:
        changes["base_url"] = Sourced(check_base_url(base_url), Source("option", "base_url"))
    if api_key is not None:
        changes["api_key"] = _template(api_key, "api_key")
    if given:
        changes["headers"] = merged_headers(chosen.headers, given)
    level: Sourced[str] | None = configuration.thinking if configuration is not None and not alone else None
    if thinking is not None:
        text = {True: "on", False: "off"}[thinking] if isinstance(thinking, bool) else thinking
        level = Sourced(text, Source("option", "thinking"))
    return Connection(
        replace(chosen, **changes) if changes else chosen,
        configuration,
        model,
        tool_call_parser,
        level,
        allow_commands,
    )


def _template(value: str | SecretStr | Template, what: str) -> Template:
    if isinstance(value, Template):
        return value
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    # What a program gives is literal: `$` and a leading `!` mean themselves.
    text = text.replace("$", "$$")
    return Template(f"${text}" if text.startswith("!") else text, Source("option", what))

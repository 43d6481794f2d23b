"""The checks that need no gateway: packages, configuration files, variables, parsers.

Each is one function that gives checks; a problem of a file is the file's own sentence (errors.py).
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import metadata

from ..._version import __version__
from ...errors import HamrParsersError
from ...families.registry import list_families
from ..config.interpolate import Template
from ..config.load import Configuration
from ..config.provider import Provider
from ..connection import Connection
from ..errors import EXIT_CONFIGURATION, ClientError
from .check import Check

__all__ = ["configuration_checks", "packages", "provider_checks"]

#: What each extra brings, by the package that tells whether it is installed.
_EXTRAS = {"client": ("httpx2",), "server": ("starlette", "uvicorn", "prometheus-client")}
#: Programs that go over our transports; their versions decide which one they take.
_PROGRAMS = (
    "openai",
    "httpx",
    "pydantic-ai-slim",
    "langchain-openai",
    "litellm",
    "openai-agents",
    "smolagents",
)


def packages() -> Iterator[Check]:
    """Versions, and which extras are there."""
    details = []
    for name in _PROGRAMS:
        found = _version(name)
        if found is not None:
            details.append(f"{name} {found}")
    summary = (
        f"hamr-parsers {__version__}, Python {platform.python_version()}, {len(list_families())} families"
    )
    yield Check("version", "local", "passed", summary, details)
    missing = {extra: [n for n in names if _version(n) is None] for extra, names in _EXTRAS.items()}
    for extra, names in missing.items():
        if names:
            said = f"hamr-parsers[{extra}] is not installed: {', '.join(names)} missing"
            cure = f'pip install "hamr-parsers[{extra}]"'
            yield Check(f"extra-{extra}", "local", "skipped", said, cures=[cure])
        else:
            told = ", ".join(f"{name} {_version(name)}" for name in _EXTRAS[extra])
            yield Check(f"extra-{extra}", "local", "passed", f"hamr-parsers[{extra}]: {told}")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def failed(id: str, error: HamrParsersError) -> Check:
    """A check that an error ended."""
    code = error.exit_code if isinstance(error, ClientError) else EXIT_CONFIGURATION
    return Check(id, "local", "failed", str(error), exit_code=code)


def configuration_checks(found: Configuration) -> Iterator[Check]:
    """The files, which could be read, and what is odd about them."""
    present = [file for file in found.files if file.found]
    names = ", ".join(str(file.path) for file in present)
    if present:
        count = len(found.providers)
        said = f"{names}: {count} {'provider' if count == 1 else 'providers'}"
        yield Check("configuration", "local", "passed", said)
    else:
        looked = ", ".join(str(file.path) for file in found.files)
        yield Check(
            "configuration",
            "local",
            "skipped",
            f"no configuration file (looked for {looked})" if looked else "no configuration file",
            cures=["hamr-parse login"],
        )
    for warning in found.warnings:
        yield Check("configuration-warning", "local", "warning", warning)


def provider_checks(connection: Connection) -> Iterator[Check]:
    """The provider in use: where it comes from, its variables, its parsers."""
    provider = connection.provider
    said = f"{provider.name}: {connection.base_url} ({provider.source})"
    yield Check("provider", "local", "passed", said)
    yield _variables(provider, connection.allow_commands)
    others = connection.configuration.providers.values() if connection.configuration is not None else ()
    for other in others:
        if other.is_enabled and other is not provider and other.name != provider.name:
            check = _variables(other, connection.allow_commands)
            if check.mark == "failed":
                check.mark = "warning"
                yield check
    yield _parsers(connection)


def _variables(provider: Provider, allowed: bool) -> Check:
    templates: dict[str, Template] = {**provider.headers}
    if provider.api_key is not None:
        templates["the API key"] = provider.api_key
    for layer in (*provider.models.values(), *provider.overrides.values()):
        templates.update(layer.headers)
    details = [f"{name}: {template.shown()}" for name, template in templates.items()]
    missing = [name for name, template in templates.items() if template.state == "missing"]
    commands = [name for name, template in templates.items() if template.is_command]
    id_ = "variables"
    if missing:
        shown = (v for name in missing for v in templates[name].shown_variables() if v != "$***")
        unset = dict.fromkeys(v.removeprefix("$") for v in shown)
        said = f"{provider.name}: a variable is not set that {', '.join(missing)} needs"
        cures = [f"export {name}=..." for name in unset]
        return Check(id_, "local", "failed", said, details, cures, exit_code=EXIT_CONFIGURATION)
    if commands and not allowed:
        said = f"{provider.name}: {', '.join(commands)} is a command, and commands out of files are not run"
        return Check(
            id_, "local", "failed", said, details, ["--allow-commands"], exit_code=EXIT_CONFIGURATION
        )
    if not templates:
        return Check(id_, "local", "passed", f"{provider.name}: no key and no headers")
    return Check(id_, "local", "passed", f"{provider.name}: all values can be resolved", details)


def _parsers(connection: Connection) -> Check:
    provider = connection.provider
    chosen = connection.configured_model()
    ids = dict.fromkeys(
        [*([chosen.value] if chosen is not None else ()), *provider.models, *provider.overrides]
    )
    if not ids:
        return Check("parsers", "local", "skipped", "no model is configured: the gateway's list decides")
    details = []
    for name in list(ids)[:20]:
        settings = connection.model(name)
        details.append(f"{name}: {settings.parser} ({settings.parser_source})")
    return Check("parsers", "local", "passed", f"parsers of {len(ids)} configured models are known", details)

"""Values that may name environment variables or a command, and that may be secrets.

Theory. `apiKey` and every header are `Template`s: text as it stands in the file, read only when a request needs it,
so that a missing variable of a provider nobody uses stops nothing. `$NAME` and `${NAME}` anywhere in it are
environment variables, `$$` is `$` and `$!` is `!`; a text that begins with `!` is a shell command, run only if the
user allowed that. Everything else is literal, a word in capitals too (as Hamr has it).

A template never shows its text: `repr`, `str` and tracebacks show the variables that it names, or that it is set.
What it resolves to is a `SecretStr` of pydantic's, which hides itself likewise and is opened in one place, where the
request's headers are made.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from typing import Literal

from pydantic import SecretStr

from ..errors import CommandNotAllowedError, ConfigurationError, MissingVariableError, without_frames
from .source import Source

__all__ = ["COMMAND_SECONDS", "Template", "variable"]

#: How long a command (`!...`) may take.
COMMAND_SECONDS = 10.0
_OUTPUT_BYTES = 64 * 1024

_NAME = "[A-Za-z_][A-Za-z0-9_]*"
_PIECE = re.compile(rf"\$(?:(?P<escaped>[$!])|(?P<plain>{_NAME})|\{{(?P<braced>[^}}]*)(?P<closer>\}}?))")
_WHOLE_NAME = re.compile(rf"{_NAME}\Z")
_LONG_WORD = 16
_VERY_LONG_WORD = 32


class Template:
    """The text of a value as it was written. `source` says where."""

    __slots__ = ("_text", "source")

    def __init__(self, text: str, source: Source) -> None:
        self._text = SecretStr(text)
        self.source = source

    @property
    def is_command(self) -> bool:
        """Whether the value is the output of a command."""
        return self._text.get_secret_value().startswith("!")

    @property
    def variables(self) -> list[str]:
        """The environment variables that it names, each once."""
        if self.is_command:
            return []
        found = _PIECE.finditer(self._text.get_secret_value())
        return list(dict.fromkeys(name for m in found if (name := m["plain"] or m["braced"])))

    def check(self) -> None:
        """Refuse a `${...}` that names no variable; needs no environment.

        Raises:
            ConfigurationError: names the place and the way out.
        """
        with without_frames():
            self._check()

    def _check(self) -> None:
        if self.is_command:
            return
        for match in _PIECE.finditer(self._text.get_secret_value()):
            braced = match["braced"]
            if braced is not None and not (match["closer"] and _WHOLE_NAME.match(braced)):
                raise self._error(
                    ConfigurationError,
                    "`${` must be followed by a variable's name and `}`; a dollar sign itself is written `$$`",
                )

    def resolve(self, environ: Mapping[str, str] | None = None, *, allow_commands: bool = False) -> SecretStr:
        """What the value stands for now.

        Raises:
            MissingVariableError: it names a variable that is not set (or empty).
            CommandNotAllowedError: it is a command, and `allow_commands` is not set.
            ConfigurationError: it names no variable where it should, or the command failed.
        """
        with without_frames():
            return self._resolve(os.environ if environ is None else environ, allow_commands)

    def _resolve(self, env: Mapping[str, str], allow_commands: bool) -> SecretStr:
        self._check()
        if self.is_command:
            return self._run(env, allow_commands)

        def piece(match: re.Match[str]) -> str:
            if match["escaped"]:
                return match["escaped"]
            name = match["plain"] or match["braced"]
            value = env.get(name, "")
            if not value:
                if _like_a_secret(name):
                    raise self._error(
                        MissingVariableError,
                        "the environment variable that it names is not set, and the name looks like a key itself;"
                        " give the name of a variable that holds the key (as in OPENAI_API_KEY)",
                    )
                empty = "empty" if name in env else "not set"
                raise self._error(
                    MissingVariableError,
                    f"the environment variable {name} is {empty}; set it (`export {name}=...`)"
                    " or write the value itself",
                )
            return value

        # One pass over the template: what a variable holds is never read as a template again.
        value = SecretStr(_PIECE.sub(piece, self._text.get_secret_value()))
        return self._usable(value)

    def _run(self, env: Mapping[str, str], allowed: bool) -> SecretStr:
        if not allowed:
            raise self._error(
                CommandNotAllowedError,
                "the value is a command (`!...`), and commands out of a file are not run unless you allow it:"
                " --allow-commands, or allow_commands=True",
            )
        command = self._text.get_secret_value()[1:].strip()
        if not command:
            raise self._error(ConfigurationError, "no command stands after `!`")
        try:
            # The user allowed the file's commands; they are shell commands, as in Hamr.
            done = subprocess.run(
                command,
                shell=True,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=COMMAND_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            problem = f"its command did not end within {COMMAND_SECONDS:g} seconds"
        except OSError as error:
            problem = f"its command cannot be run: {error.strerror}"
        else:
            output = done.stdout[:_OUTPUT_BYTES].decode("utf-8", "replace").strip()
            if done.returncode == 0 and output:
                return self._usable(SecretStr(output))
            problem = "its command printed nothing"
            if done.returncode:
                problem = f"its command failed with exit code {done.returncode}"
        raise self._error(ConfigurationError, problem + "; try it in a shell") from None

    def _usable(self, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if any(ord(c) < 32 or ord(c) == 127 for c in text):
            raise self._error(
                ConfigurationError,
                "the value holds a line end or another control character, which no header can carry",
            )
        if not text.isascii():
            raise self._error(
                ConfigurationError,
                "the value holds characters that no header can carry; is a dash or a quote typographic?",
            )
        return value

    def _error(self, kind: type[ConfigurationError], reason: str) -> ConfigurationError:
        if self.source.kind == "file":
            return kind(reason, file=self.source.file, key=self.source.key)
        return kind(reason, key=self.source.key or str(self.source))

    def shown(self, environ: Mapping[str, str] | None = None) -> str:
        """The value for a person: `set`, `$NAME (set)`, `$NAME (missing)`, `a command`; never the text."""
        if self.is_command:
            return "a command"
        env = os.environ if environ is None else environ
        shown = zip(self.variables, self.shown_variables(env), strict=True)
        return ", ".join(f"{as_} ({'set' if env.get(name) else 'missing'})" for name, as_ in shown) or "set"

    def shown_variables(self, environ: Mapping[str, str] | None = None) -> list[str]:
        """`variables` for a person: `$NAME`; `$***` for one that is not set and looks like a key written in the
        place of a name."""
        env = os.environ if environ is None else environ
        return [
            "$***" if not env.get(name) and _like_a_secret(name) else f"${name}" for name in self.variables
        ]

    @property
    def state(self) -> Literal["set", "missing", "command"]:
        """Whether it can be resolved now."""
        if self.is_command:
            return "command"
        return "set" if all(os.environ.get(name) for name in self.variables) else "missing"

    def __repr__(self) -> str:
        return f"<Template {self.shown()}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


def _like_a_secret(name: str) -> bool:
    """Whether a name is rather a key: names of variables are words joined by `_`, and such words are short."""
    for word in name.split("_"):
        mixed = any(c.isdigit() for c in word) and any(c.isalpha() for c in word)
        if len(word) >= (_LONG_WORD if mixed else _VERY_LONG_WORD):
            return True
    return False


def variable(name: str, source: Source) -> Template:
    """The template that is just one environment variable (`api_key_env`)."""
    return Template(f"${{{name}}}", source)

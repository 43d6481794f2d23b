"""Configuration: Hamr's files are read as Hamr does, every value knows its source, no secret shows, and nothing that
is wrong is ignored; `compat` changes a request as the files say and not otherwise."""

from __future__ import annotations

import copy
import json
import os
import pickle
import re
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hamr_parsers import client
from hamr_parsers.client.config import (
    Compat,
    Configuration,
    Source,
    Template,
    apply_compat,
    load_configuration,
)
from hamr_parsers.client.config import interpolate as interpolate_module
from hamr_parsers.client.config.load import check_base_url, is_loopback
from hamr_parsers.client.config.models_json import without_comments
from hamr_parsers.client.connection import connect
from hamr_parsers.client.errors import (
    CommandNotAllowedError,
    ConfigurationError,
    GatewayError,
    MissingVariableError,
    ProviderError,
    UnknownModelError,
)

SECRET = "sk-very-secret-4711"
Home = Callable[..., Path]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home directory with the files that are given; returns a repository's directory in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    repository = tmp_path / "repo"
    (repository / ".git").mkdir(parents=True)
    monkeypatch.chdir(repository)

    def make(models: object = None, toml: str | None = None, local: str | None = None) -> Path:
        if models is not None:
            path = tmp_path / ".hamr" / "agent" / "models.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(models if isinstance(models, str) else json.dumps(models), encoding="utf-8")
        if toml is not None:
            path = tmp_path / ".config" / "hamr" / "config.toml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(toml, encoding="utf-8")
        if local is not None:
            (repository / ".hamr.toml").write_text(local, encoding="utf-8")
        return repository

    return make


def relay(**more: Any) -> dict[str, Any]:
    return {"providers": {"relay": {"baseUrl": "http://127.0.0.1:1234/v1", **more}}}


def template(text: str, key: str = "providers.x.apiKey") -> Template:
    return Template(text, Source("file", file=Path("/m.json"), key=key))


class TestFiles:
    def test_the_examples_of_hamrs_docs_are_read(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        home(
            {
                "providers": {
                    "relay": {
                        "baseUrl": "http://127.0.0.1:1234/v1",
                        "api": "openai-completions",
                        "apiKey": "not-needed",
                        "models": [
                            {
                                "id": "Qwen3.6-35B-A3B-UD-IQ3_XXS.gguf",
                                "name": "Qwen3.6 35B",
                                "contextWindow": 131072,
                                "reasoning": False,
                                "input": ["text"],
                                "compat": {
                                    "supportsDeveloperRole": False,
                                    "supportsReasoningEffort": False,
                                },
                            }
                        ],
                    },
                    "access": {
                        "baseUrl": "https://relay.example.com/v1",
                        "api": "openai-completions",
                        "apiKey": "$RELAY_API_KEY",
                        "headers": {
                            "CF-Access-Client-Id": "$CF_ACCESS_CLIENT_ID",
                            "CF-Access-Client-Secret": "${CF_ACCESS_CLIENT_SECRET}",
                        },
                    },
                }
            }
        )
        for name in ("RELAY_API_KEY", "CF_ACCESS_CLIENT_ID", "CF_ACCESS_CLIENT_SECRET"):
            monkeypatch.setenv(name, f"value of {name}")
        found = load_configuration()
        model = found.provider("relay").model("Qwen3.6-35B-A3B-UD-IQ3_XXS.gguf")
        assert (model.name, model.context_window, model.reasoning) == ("Qwen3.6 35B", 131072, False)
        assert model.compat.supports_developer_role is False
        assert dict(connect(provider="access").headers()) == {
            "user-agent": f"hamr-parsers/{__import__('hamr_parsers').__version__}",
            "cf-access-client-id": "value of CF_ACCESS_CLIENT_ID",
            "cf-access-client-secret": "value of CF_ACCESS_CLIENT_SECRET",
            "authorization": "Bearer value of RELAY_API_KEY",
        }

    def test_toml_is_read_in_the_new_form(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        home(
            toml="""
            [active]
            provider = "vllm"
            model = "small one"
            thinking = "low"
            [providers.vllm]
            enabled = true
            name = "The big box"
            compatibility = "openai"
            base_url = "http://10.0.0.2:8000/v1"
            model = "Qwen/Qwen3-8B"
            api_key_env = "BOX_KEY"
            [providers.vllm.headers]
            X-Team = "team ${TEAM}"
            [[providers.vllm.models]]
            id = "org/small"
            display_name = "Small One"
            context_window = 4096
            supports_thinking = true
            tool_call_parser = "hermes"
            """
        )
        monkeypatch.setenv("BOX_KEY", "k")
        monkeypatch.setenv("TEAM", "blue")
        connection = connect()
        assert connection.headers()["authorization"] == "Bearer k"
        assert connection.headers()["x-team"] == "team blue"
        chosen = connection.configured_model()
        assert chosen is not None and chosen.value == "org/small"  # found by its label, in any case
        model = connection.model("org/small")
        assert (model.parser, model.context_window, model.reasoning) == ("hermes", 4096, True)
        assert connection.thinking is not None and connection.thinking.value == "low"
        assert connect(provider="the BIG box").base_url == "http://10.0.0.2:8000/v1"

    def test_toml_is_read_in_the_old_form(self, home: Home) -> None:
        home(toml='[provider]\nkind = "ollama"\nmodel = "llama3.1"\napi_key = "any"\n')
        connection = connect()
        assert connection.base_url == "http://127.0.0.1:11434/v1"  # what the kind means
        assert str(connection.provider.base_url.source) == "preset ollama"  # type: ignore[union-attr]
        assert connection.configured_model().value == "llama3.1"  # type: ignore[union-attr]

    def test_the_later_file_wins_field_by_field(self, home: Home) -> None:
        home(
            relay(apiKey="a", headers={"X-A": "1", "X-B": "1"}, tool_call_parser="hermes"),
            toml='[active]\nprovider = "relay"\n[providers.relay]\ntool_call_parser = "mistral"\n',
            local='[providers.relay]\nmodel = "m"\n[providers.relay.headers]\nx-b = "2"\n',
        )
        provider = load_configuration().provider()
        assert provider.tool_call_parser is not None and provider.tool_call_parser.value == "mistral"
        assert provider.default_model is not None and provider.default_model.source.file is not None
        assert provider.default_model.source.file.name == ".hamr.toml"
        assert provider.base_url is not None
        assert str(provider.base_url.source) == "~/.hamr/agent/models.json: providers.relay.baseUrl"
        assert list(provider.headers) == ["X-A", "x-b"]  # names of headers have no case

    def test_the_nearest_local_file_counts_and_none_above_the_repository(
        self, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        repository = home(relay())
        (tmp_path / ".hamr.toml").write_text("this is no TOML", encoding="utf-8")
        deep = repository / "a" / "b"
        deep.mkdir(parents=True)
        monkeypatch.chdir(deep)
        assert [f.what for f in load_configuration().files] == ["models.json", "config.toml"]
        (repository / ".hamr.toml").write_text('[active]\nmodel = "far"\n', encoding="utf-8")
        assert load_configuration().active_model.value == "far"  # type: ignore[union-attr]
        (deep.parent / ".hamr.toml").write_text('[active]\nmodel = "near"\n', encoding="utf-8")
        assert load_configuration().active_model.value == "near"  # type: ignore[union-attr]

    def test_xdg_config_home_is_honoured(
        self, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home(relay(), toml='[active]\nmodel = "home"\n')
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
        assert load_configuration().active_model.value == "home"  # type: ignore[union-attr]
        (tmp_path / "xdg" / "hamr").mkdir(parents=True)
        (tmp_path / "xdg" / "hamr" / "config.toml").write_text('[active]\nmodel = "xdg"\n', encoding="utf-8")
        assert load_configuration().active_model.value == "xdg"  # type: ignore[union-attr]

    def test_named_files_replace_the_usual_ones(self, home: Home, tmp_path: Path) -> None:
        home("this is no JSON", toml="this is no TOML", local="neither is this")
        (tmp_path / "m.json").write_text(json.dumps(relay()), encoding="utf-8")
        (tmp_path / "c.toml").write_text("", encoding="utf-8")
        found = load_configuration(config=tmp_path / "c.toml", models_json=tmp_path / "m.json")
        assert list(found.providers) == ["relay"]
        with pytest.raises(ConfigurationError, match=r"absent\.toml: no such file"):
            load_configuration(config=tmp_path / "absent.toml", models_json=tmp_path / "m.json")

    def test_unknown_keys_stop_nothing_and_are_kept(self, home: Home) -> None:
        home(
            {"$schema": "x", **relay(oauth={"a": 1}, compat={"supportsStore": True, "new": {"a": 1}})},
            toml='version = 2\n[ui]\ntheme = "dark"\n[active]\nagent = "x"\n[providers.relay]\nnew = 1\n',
        )
        provider = load_configuration().provider()
        assert provider.compat.said() == {"supportsStore": True, "new": {"a": 1}}

    def test_comments_and_trailing_commas_are_read_past(self, home: Home) -> None:
        home(
            '{ // mine\n  "providers": { /* one\n only */ "relay": {"baseUrl": "http://a/v1", // it"s\n'
            '   "apiKey": "a//b/*c*/,}", },\n  },\n}'
        )
        provider = load_configuration().provider()
        assert provider.api_key is not None
        assert provider.api_key.resolve().get_secret_value() == "a//b/*c*/,}"

    @pytest.mark.parametrize("text", ['{"a": "x, }"}', "{}", '["\\\\", "\\",]"]', ' /* "', '"', "// a\n/"])
    def test_blanking_comments_moves_nothing(self, text: str) -> None:
        made = without_comments(text)
        assert len(made) == len(text)
        assert [at for at, c in enumerate(made) if c == "\n"] == [
            at for at, c in enumerate(text) if c == "\n"
        ]

    def test_without_any_file_it_is_hamrs_default_gateway(self, home: Home) -> None:
        home()
        provider = load_configuration().provider()
        assert provider.base_url is not None
        assert (provider.base_url.value, str(provider.base_url.source)) == (
            "http://127.0.0.1:1234/v1",
            "default",
        )


WRONG = [
    # models.json, TOML, what the error says
    ('{"providers": {\n  "x": }}', None, r"models\.json:2:8: not JSON"),
    ("", None, r"models\.json:1:1: is empty"),
    ("[]", None, r"models\.json:1: an object is wanted"),
    ({"providers": {"x": {}}}, None, r"models\.json: providers\.x: baseUrl is required"),
    ({"providers": {"x": {"baseUrl": " "}}}, None, r"providers\.x: baseUrl is required"),
    (
        relay(models=[{"id": "a"}, {"name": "b"}]),
        None,
        r"models\.json:1: providers\.relay\.models\[1\]: id is",
    ),
    (relay(models=[{"id": ""}]), None, r"models\[0\]\.id: must not be empty"),
    (
        '{"providers": {"x": {\n"baseUrl": "http://a",\n"compat": {\n"supportsDeveloperRole": "no"}}}}',
        None,
        r"models\.json:4: providers\.x\.compat\.supportsDeveloperRole: true or false is wanted, not a string",
    ),
    (relay(compat={"maxTokensField": "tokens"}), None, r"maxTokensField: must be 'max_tokens' or"),
    (relay(apiKey=["k"]), None, r"apiKey: a string is wanted, not a list"),
    (relay(models=[{"id": "a", "contextWindow": "128k"}]), None, r"contextWindow: a whole number is wanted"),
    (
        relay(tool_call_parser="hermez"),
        None,
        r"tool_call_parser: unknown parser 'hermez'; did you mean 'hermes'",
    ),
    (
        relay(modelOverrides={"q/x:1": {"tool_call_parser": "none at all"}}),
        None,
        r'modelOverrides\."q/x:1"\.tool_call_parser: unknown parser',
    ),
    (
        relay(models=[{"id": "a", "tool_call_parser": "no such"}]),
        None,
        r"models\[0\]\.tool_call_parser: unknown",
    ),
    (relay(apiKey="${NOT CLOSED"), None, r"providers\.relay\.apiKey: `\$\{` must be followed by"),
    (relay(headers={"X Y": "1"}), None, r"headers\.X Y: is no name of a header"),
    (
        {"providers": {"x": {"baseUrl": "localhost:1"}}},
        None,
        r"providers\.x\.baseUrl: 'localhost:1' is no http",
    ),
    ({"providers": {"x": {"baseUrl": "http://u:p@h/v1"}}}, None, r"baseUrl: the URL holds a user name"),
    (
        {"providers": {"x": {"baseUrl": "http://h/v1?key=1"}}},
        None,
        r"baseUrl: the URL must end with its path",
    ),
    (
        relay(headers={"Content-LENGTH": "1"}),
        None,
        r"headers\.Content-LENGTH: Content-LENGTH is set by the conn",
    ),
    (
        None,
        "[providers.x]\nbase_url = 'http://h'\nheaders = {host = 'a'}\n",
        r"headers\.host: host is set by",
    ),
    ('{"providers": {}, "x": ' + "1" * 6000 + "}", None, r"models\.json: not usable: holds a number of"),
    (None, "x = " + "1" * 6000, r"config\.toml: not usable: holds a number of"),
    (None, "[active\n", r"config\.toml:1:8: not TOML"),
    (None, "[providers.x]\nmodel = 'a'\n", r"config\.toml: providers\.x: base_url is required"),
    (None, "[provider]\nkind = 'mine'\n", r"config\.toml: provider: base_url is required"),
    (None, "[providers.x]\nbase_url = 1\n", r"providers\.x\.base_url: a string is wanted, not a number"),
    (
        None,
        "[providers.x]\napi_key_env = 'sk-1'\n",
        r"api_key_env: the name of an environment variable is wanted",
    ),
    (None, "[active]\nthinking = 1\n", r"active\.thinking: "),
    (None, "[active]\nprovider = 'nobody'\n", r"config\.toml: active\.provider: no provider 'nobody'"),
    (
        relay(api="anthropic-messages"),
        None,
        r'providers\.relay\.api: "anthropic-messages" is an API that this client does not speak',
    ),
]


@pytest.mark.parametrize(("models", "toml", "says"), WRONG, ids=[w[2] for w in WRONG])
def test_what_is_wrong_is_an_error_that_names_file_and_key(
    home: Home, models: object, toml: str | None, says: str
) -> None:
    home(models, toml)
    with pytest.raises(ConfigurationError) as caught:
        connect()
    assert re.search(says, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_file_that_cannot_be_read_says_why(home: Home, tmp_path: Path) -> None:
    home()
    path = tmp_path / "m.json"
    path.write_bytes(b'{\n"a": "\xff"}')
    with pytest.raises(ConfigurationError, match=r"m\.json:2: is not UTF-8"):
        load_configuration(models_json=path)
    with pytest.raises(ConfigurationError, match="is a directory"):
        load_configuration(models_json=tmp_path)


def test_a_bom_is_no_error(home: Home, tmp_path: Path) -> None:
    home()
    (tmp_path / "m.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(relay()).encode())
    assert load_configuration(models_json=tmp_path / "m.json").providers


class TestInterpolation:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("plain", "plain"),
            ("UPPER_CASE", "UPPER_CASE"),
            ("$A", "1"),
            ("${A}", "1"),
            ("x$A-${B_2}y", "x1-twoy"),
            ("$A$B_2", "1two"),
            ("$$A", "$A"),
            ("$$$A", "$1"),
            ("$!A", "!A"),
            ("a!b", "a!b"),
            ("100$", "100$"),
            ("$1", "$1"),
            ("$-$A", "$-1"),
            ("$NESTED", "$A ${A}"),
        ],
    )
    def test_values(self, text: str, value: str) -> None:
        environ = {"A": "1", "B_2": "two", "NESTED": "$A ${A}"}
        assert template(text).resolve(environ).get_secret_value() == value

    @pytest.mark.parametrize("environ", [{}, {"MY_KEY": ""}])
    def test_a_missing_variable_is_named_with_its_place(self, environ: dict[str, str]) -> None:
        with pytest.raises(MissingVariableError, match=r"/m\.json: providers\.x\.apiKey: .* MY_KEY is"):
            template("Bearer ${MY_KEY}").resolve(environ)

    def test_a_missing_variable_of_a_provider_that_is_not_used_stops_nothing(self, home: Home) -> None:
        home(
            {"providers": {"a": {"baseUrl": "http://a", "apiKey": "$NO_SUCH"}, "b": {"baseUrl": "http://b"}}}
        )
        assert "authorization" not in connect(provider="b").headers()
        with pytest.raises(MissingVariableError):
            connect(provider="a").headers()

    @pytest.mark.parametrize("text", ["${", "${}", "${A", "${A-b}", "x${1}"])
    def test_a_brace_that_names_nothing_is_an_error(self, text: str) -> None:
        with pytest.raises(ConfigurationError, match="a dollar sign itself is written"):
            template(text).resolve({"A": "1"})

    @pytest.mark.parametrize("value", ["a\nb", "a\r\nX: y", "\x00", "“quoted”"])
    def test_what_no_header_can_carry_is_refused(self, value: str) -> None:
        with pytest.raises(ConfigurationError, match="no header can carry") as caught:
            template("$A").resolve({"A": value})
        assert value not in str(caught.value)

    def test_a_command_is_refused_unless_allowed(self, tmp_path: Path) -> None:
        marker = tmp_path / "ran"
        command = template(f"!echo key > {marker}; echo ' the key '")
        with pytest.raises(CommandNotAllowedError, match="--allow-commands"):
            command.resolve()
        assert not marker.exists()
        assert command.shown() == "a command"
        assert command.resolve(allow_commands=True).get_secret_value() == "the key"
        assert marker.exists()

    @pytest.mark.parametrize(
        ("command", "says"),
        [
            ("exit 3", "exit code 3"),
            ("true", "printed nothing"),
            ("", "no command"),
            ("sleep 9", "did not end"),
        ],
    )
    def test_a_command_that_fails_says_how(
        self, command: str, says: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(interpolate_module, "COMMAND_SECONDS", 0.2)
        with pytest.raises(ConfigurationError, match=says):
            template(f"!{command}").resolve(allow_commands=True)

    def test_what_a_program_gives_is_literal(self) -> None:
        headers = connect(base_url="http://a", api_key="!$A$$", headers={"x-b": "$B"}).headers()
        assert (headers["authorization"], headers["x-b"]) == ("Bearer !$A$$", "$B")

    def test_an_authorization_header_wins_over_the_key(self, home: Home) -> None:
        home(relay(apiKey="k", headers={"Authorization": "Basic x"}))
        assert connect().headers()["authorization"] == "Basic x"
        home(relay(apiKey="k", authHeader=False))
        assert "authorization" not in connect().headers()


def test_secrets_are_never_shown(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", SECRET)
    home(relay(apiKey=SECRET, headers={"X-Key": "$KEY", "X-Bad": "${" + SECRET}))
    with pytest.raises(ConfigurationError, match="X-Bad") as caught:
        load_configuration()
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert SECRET not in shown.replace(f"SECRET = '{SECRET}'", "")
    home(relay(apiKey=SECRET, headers={"X-Key": "$KEY"}))
    connection = connect()
    headers = connection.headers()
    assert headers["authorization"] == f"Bearer {SECRET}"
    for value in (connection, vars(connection), connection.provider, connection.configuration, headers):
        assert SECRET not in repr(value)
        assert SECRET not in str(value)
    assert connection.blank(f"no such key {SECRET}!") == "no such key ***!"


class TestWhichProvider:
    def two(self, home: Home) -> Configuration:
        home(
            {
                "providers": {
                    "a": {"baseUrl": "http://a", "models": [{"id": "m-a", "name": "Label A"}]},
                    "b": {"baseUrl": "http://b", "models": [{"id": "m-b"}]},
                }
            }
        )
        return load_configuration()

    def test_several_and_none_active_is_an_error_with_the_way_out(self, home: Home) -> None:
        with pytest.raises(ProviderError, match=r"--provider \(a, b\), or set `\[active\] provider"):
            self.two(home).provider()

    def test_a_model_that_only_one_lists_decides(self, home: Home) -> None:
        assert self.two(home).provider(model="label a").name == "a"

    def test_a_preset_needs_no_configuration(self, home: Home) -> None:
        found = self.two(home)
        assert found.provider("LM Studio").base_url.value == "http://127.0.0.1:1234/v1"  # type: ignore[union-attr]
        assert found.provider("llama.cpp").base_url.value == "http://127.0.0.1:8080/v1"  # type: ignore[union-attr]

    def test_an_unknown_one_gets_the_nearest(self, home: Home) -> None:
        with pytest.raises(ProviderError, match="no provider 'ollamma'; did you mean 'ollama'"):
            self.two(home).provider("ollamma")

    def test_one_that_is_switched_off_is_not_used(self, home: Home) -> None:
        self.two(home)
        home(toml="[providers.a]\nenabled = false\n")
        found = load_configuration()
        assert found.provider().name == "b"
        with pytest.raises(ProviderError, match=r"config\.toml: providers\.a\.enabled: .*switched off"):
            found.provider("a")

    def test_a_base_url_alone_gets_no_configured_key(self, home: Home) -> None:
        home(relay(apiKey=SECRET))
        assert "authorization" not in connect(base_url="http://127.0.0.1:1234/v1").headers()
        home("not JSON")
        assert connect(base_url="http://other/v1").base_url == "http://other/v1"  # no file is read


class TestARepositorysFile:
    """`.hamr.toml` gets no secret of the user for a gateway that only it names."""

    @pytest.mark.parametrize(
        "url", ["http://other.example/v1", "https://gw.example.com:444", "http://localhost:99"]
    )
    @pytest.mark.parametrize(
        "secret",
        [
            {"apiKey": SECRET},
            {"apiKey": "$KEY"},
            {"headers": {"X-K": SECRET}},
            {"models": [{"id": "m", "headers": {"X-K": SECRET}}]},
            {"modelOverrides": {"m": {"headers": {"X-K": SECRET}}}},
        ],
    )
    def test_keys_of_other_files_do_not_follow_its_url(
        self, home: Home, url: str, secret: dict[str, Any]
    ) -> None:
        models = {"providers": {"p": {"baseUrl": "https://gw.example.com/v1", **secret}}}
        home(models, local=f'[active]\nprovider = "p"\n[providers.p]\nbase_url = "{url}"\n')
        with pytest.raises(ConfigurationError) as caught:
            load_configuration()
        said = str(caught.value)
        for part in (
            ".hamr.toml: providers.p.base_url",
            "~/.hamr/agent/models.json",
            "https://gw.example.com)",
        ):
            assert part in said, said
        assert "not sent to http" in said and "~/.config/hamr/config.toml" in said
        assert SECRET not in said
        home(toml=f'[providers.p]\nbase_url = "{url}"\n')  # the way out that the message names
        assert load_configuration().provider().base_url.value == url  # type: ignore[union-attr]

    def test_the_older_form_and_a_preset_are_no_way_around(self, home: Home) -> None:
        models = {"providers": {"ollama": {"baseUrl": "https://gw.example.com/v1", "apiKey": SECRET}}}
        home(models, local='[provider]\nkind = "ollama"\n')
        with pytest.raises(ConfigurationError, match=r"\.hamr\.toml: provider: .* not sent to http://127\.0"):
            load_configuration()

    def test_a_key_without_a_url_of_the_users_is_not_sent_to_the_repositorys(self, home: Home) -> None:
        home(toml='[providers.z]\napi_key_env = "KEY"\n', local='[providers.z]\nbase_url = "http://h/v1"\n')
        with pytest.raises(ConfigurationError, match=r"config\.toml is not sent to http://h"):
            load_configuration()

    @pytest.mark.parametrize(
        "values",
        ['api_key_env = "AWS_SECRET"', 'api_key = "$AWS_SECRET"', 'headers = {x = "a ${AWS_SECRET}"}'],
    )
    def test_it_sends_no_variable_to_a_gateway_that_only_it_names(self, home: Home, values: str) -> None:
        def local(url: str) -> str:
            return f'[providers.z]\nbase_url = "{url}"\n{values}\n'

        home(local=local("https://evil.example/v1"))
        with pytest.raises(
            ConfigurationError, match=r"may not send \$AWS_SECRET to https://evil\.example: .*z"
        ):
            load_configuration()
        home(local=local("http://127.0.0.1:1234/v1"))  # a gateway of this machine
        assert load_configuration().warnings == []
        home(
            toml='[providers.z]\nbase_url = "https://evil.example"\n',
            local=local("https://EVIL.example:443/v1"),
        )
        assert load_configuration().warnings == []  # the user's file names it

    def test_what_is_no_secret_of_the_user_may_go_anywhere(self, home: Home, tmp_path: Path) -> None:
        home(relay(apiKey="not-needed"), local='[providers.relay]\nbase_url = "http://localhost:99/v1"\n')
        assert load_configuration().warnings == []
        home(
            local='[providers.z]\nbase_url = "https://h/v1"\napi_key = "a word"\n[providers.relay]\nmodel = "m"\n'
        )
        assert load_configuration().warnings == []

    def test_a_file_that_the_user_names_is_the_users(self, home: Home) -> None:
        repository = home(relay(apiKey=SECRET), local='[providers.relay]\nbase_url = "https://h/v1"\n')
        found = load_configuration(config=repository / ".hamr.toml")
        assert found.provider().base_url.value == "https://h/v1"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("SECRETKEY4711ABCDEF", True),
        ("gsk_abcdefgh12345678", True),
        ("A" * 32, True),
        ("AWS_SECRET_ACCESS_KEY", False),
        ("CLOUDFLARE_ACCOUNT_ID_2", False),
        ("MYCOMPANYAPIKEYTOKEN", False),
    ],
)
def test_a_key_in_the_place_of_a_variables_name_is_not_shown(
    home: Home, monkeypatch: pytest.MonkeyPatch, name: str, secret: bool
) -> None:
    home(toml=f'[providers.x]\nbase_url = "http://h/v1"\napi_key_env = "{name}"\n')
    connection = connect()
    with pytest.raises(MissingVariableError) as caught:
        connection.headers()
    key = connection.provider.api_key
    assert key is not None
    for shown in (str(caught.value), key.shown(), repr(key)):
        assert (name not in shown) is secret, shown
    assert "config.toml: providers.x.api_key_env: " in str(caught.value)
    monkeypatch.setenv(name, "value")
    assert key.shown() == f"${name} (set)"


class TestModels:
    def test_the_parser_is_the_overrides_the_models_the_providers_else_by_name(self, home: Home) -> None:
        home(
            relay(
                tool_call_parser="mistral",
                models=[{"id": "a", "tool_call_parser": "hermes"}, {"id": "b"}],
                modelOverrides={"a": {"tool_call_parser": "qwen3_coder"}},
            )
        )
        connection = connect()
        assert connection.model("a").parser == "qwen3_coder"
        assert (
            connection.model("a").parser_source.key == 'providers.relay.modelOverrides."a".tool_call_parser'
        )
        assert connection.model("b").parser == "mistral"
        assert connect(tool_call_parser="glm45").model("a").parser == "glm45"
        home(relay(models=[{"id": "x1", "name": "Devstral 24B"}]))
        assert connect().model("x1").parser == "mistral"  # the label tells what the id does not
        assert connect().model("Qwen3-Coder-30B").parser == "qwen3_coder"
        unknown = connect().model("who knows")
        assert (unknown.parser, str(unknown.parser_source)) == ("auto", "default")

    def test_compat_is_merged_provider_model_override(self, home: Home) -> None:
        home(
            relay(
                compat={"supportsDeveloperRole": False, "maxTokensField": "max_tokens", "x": 1},
                models=[{"id": "a", "compat": {"maxTokensField": "max_completion_tokens", "x": 2}}],
                modelOverrides={"a": {"compat": {"x": 3}, "headers": {"X-H": "v"}}, "typo": {"name": "n"}},
            )
        )
        connection = connect()
        model = connection.model("a")
        assert model.compat.said() == {
            "supportsDeveloperRole": False,
            "maxTokensField": "max_completion_tokens",
            "x": 3,
        }
        assert (
            model.compat_sources["supportsDeveloperRole"].key
            == "providers.relay.compat.supportsDeveloperRole"
        )
        assert ".models[0]." in model.compat_sources["maxTokensField"].key
        assert connection.headers(model)["x-h"] == "v"
        assert "x-h" not in connection.headers()
        assert connection.provider.unknown_overrides(["b"]) == ["typo"]

    def test_a_listed_model_replaces_what_the_gateway_says(self, home: Home) -> None:
        home(relay(models=[{"id": "a", "contextWindow": 1000}], modelOverrides={"b": {"name": "B"}}))
        provider = load_configuration().provider()
        served = {"context_window": 4096, "name": "Served"}
        assert provider.model("a", served=served).context_window == 1000
        assert provider.model("a", served=served).name == "a"
        assert provider.model("b", served=served).context_window == 4096
        assert provider.model("b", served=served).name == "B"
        assert str(provider.model("b", served=served).values["context_window"].source) == "gateway /models"

    def test_an_unknown_thinking_format_is_kept_with_a_warning(self, home: Home) -> None:
        home(relay(compat={"thinkingFormat": "telepathy"}))
        (warning,) = load_configuration().warnings
        assert "telepathy" in warning and "providers.relay" in warning

    def test_an_unknown_thinking_level_is_kept_with_a_warning(self, home: Home) -> None:
        levels = {"models": [{"id": "m", "thinkingLevelMap": {"ultra": "u"}}]}
        home(relay(**levels), toml='[active]\nthinking = "bananas"\n')
        connection = connect()
        assert connection.thinking is not None and connection.thinking.value == "bananas"
        (warning,) = connection.warnings
        for part in ("config.toml: active.thinking: ", "'bananas'", "off, minimal, low", "on, ultra"):
            assert part in warning
        (warning,) = connect(base_url="http://127.0.0.1:1", thinking="pears").warnings
        assert "'pears'" in warning and "ultra" not in warning
        for known in ("ultra", "off", "None", "low", "on", True, False):
            home(toml=f"[active]\nthinking = {json.dumps(known)}\n")
            assert connect().warnings == []
            assert connect(thinking=known).warnings == []


class Traits:
    def __init__(self, reasoning: bool | None = None, levels: dict[str, str | None] | None = None) -> None:
        self.reasoning = reasoning
        self.thinking_levels = levels or {}


def compat(**keys: Any) -> Compat:
    return Compat.model_validate(keys)


def asked(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages) or [{"role": "user", "content": "hi"}], **fields}


CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


class TestCompat:
    def test_nothing_said_changes_nothing_but_old_reasoning(self) -> None:
        request = asked(
            {"role": "developer", "content": "x"},
            {"role": "assistant", "content": "y", "reasoning_content": "thought", "reasoning": "thought"},
            max_completion_tokens=5,
            stream_options={"include_usage": True},
            reasoning_effort="low",
            tools=[{"type": "function", "function": {"name": "f", "strict": True}}],
        )
        before = copy.deepcopy(request)
        made = apply_compat(request, Compat())
        assert request == before
        del before["messages"][1]["reasoning_content"], before["messages"][1]["reasoning"]
        assert made == before

    @pytest.mark.parametrize(
        ("keys", "request_", "made"),
        [
            ({"maxTokensField": "max_tokens"}, asked(max_completion_tokens=7), {"max_tokens": 7}),
            ({"maxTokensField": "max_completion_tokens"}, asked(max_tokens=7), {"max_completion_tokens": 7}),
            ({"supportsReasoningEffort": False}, asked(reasoning_effort="high"), {}),
            ({"supportsUsageInStreaming": False}, asked(stream_options={"include_usage": True}), {}),
            (
                {"supportsUsageInStreaming": False},
                asked(stream_options={"include_usage": True, "x": 1}),
                {"stream_options": {"x": 1}},
            ),
            (
                {"supportsStrictMode": False},
                asked(tools=[{"type": "function", "function": {"name": "f", "strict": True}}]),
                {"tools": [{"type": "function", "function": {"name": "f"}}]},
            ),
        ],
    )
    def test_fields(self, keys: dict[str, Any], request_: dict[str, Any], made: dict[str, Any]) -> None:
        before = copy.deepcopy(request_)
        found = apply_compat(request_, compat(**keys))
        assert {k: v for k, v in found.items() if k not in ("model", "messages")} == made
        assert request_ == before

    def test_the_developer_becomes_the_system(self) -> None:
        made = apply_compat(asked({"role": "developer", "content": "x"}), compat(supportsDeveloperRole=False))
        assert made["messages"] == [{"role": "system", "content": "x"}]

    def test_tool_results_get_the_calls_name(self) -> None:
        request = asked(
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "r"},
            {"role": "tool", "tool_call_id": "orphan", "content": "r"},
        )
        made = apply_compat(request, compat(requiresToolResultName=True))
        assert [m.get("name") for m in made["messages"]] == [None, "f", None]

    def test_an_answer_stands_between_results_and_the_user(self) -> None:
        request = asked(
            {"role": "tool", "tool_call_id": "c1", "content": "r"},
            {"role": "tool", "tool_call_id": "c2", "content": "r"},
            {"role": "user", "content": "go on"},
        )
        made = apply_compat(request, compat(requiresAssistantAfterToolResult=True))
        assert [m["role"] for m in made["messages"]] == ["tool", "tool", "assistant", "user"]

    def test_reasoning_is_replayed_as_the_provider_needs_it(self) -> None:
        request = asked(
            {"role": "assistant", "content": "a", "reasoning_content": "t"},
            {"role": "assistant", "content": "b"},
            {"role": "assistant", "content": [{"type": "text", "text": "c"}], "reasoning": "u"},
        )
        needed = apply_compat(request, compat(requiresReasoningContentOnAssistantMessages=True))
        assert [m["reasoning_content"] for m in needed["messages"]] == ["t", "", "u"]
        text = apply_compat(request, compat(requiresThinkingAsText=True))["messages"]
        assert [m.get("reasoning_content") for m in text] == [None, None, None]
        assert text[0]["content"] == "<thinking>\nt\n</thinking>\n\na"
        assert text[2]["content"][0] == {"type": "text", "text": "<thinking>\nu\n</thinking>"}
        kept = apply_compat(request, Compat(), keep_reasoning=True)["messages"]
        assert kept[0]["reasoning_content"] == "t" and "reasoning_content" not in kept[1]

    @pytest.mark.parametrize(
        ("format_", "on", "off"),
        [
            ("reasoning_effort", {"reasoning_effort": "low"}, {}),
            ("openai", {"reasoning_effort": "low"}, {}),
            ("qwen", {"enable_thinking": True}, {"enable_thinking": False}),
            (
                "qwen-chat-template",
                {"chat_template_kwargs": {"enable_thinking": True}},
                {"chat_template_kwargs": {"enable_thinking": False}},
            ),
            ("deepseek", {"thinking": {"type": "enabled"}}, {"thinking": {"type": "disabled"}}),
            ("zai", {"thinking": {"type": "enabled"}}, {"thinking": {"type": "disabled"}}),
            ("together", {"reasoning": {"enabled": True}}, {"reasoning": {"enabled": False}}),
            ("openrouter", {"reasoning": {"effort": "low"}}, {"reasoning": {"effort": "none"}}),
            ("string-thinking", {"thinking": "low"}, {"thinking": "none"}),
            ("telepathy", {}, {}),
        ],
    )
    def test_each_thinking_format(self, format_: str, on: dict[str, Any], off: dict[str, Any]) -> None:
        for level, wanted in (("low", on), ("off", off)):
            made = apply_compat(asked(), compat(thinkingFormat=format_), Traits(True), thinking=level)
            assert {k: v for k, v in made.items() if k not in ("model", "messages")} == wanted
        as_field = apply_compat(asked(reasoning_effort="low"), compat(thinkingFormat=format_), Traits())
        assert {k: v for k, v in as_field.items() if k not in ("model", "messages")} == on

    @pytest.mark.parametrize("format_", ["deepseek", "zai", "together"])
    def test_an_effort_beside_the_switch_where_it_is_supported(self, format_: str) -> None:
        made = apply_compat(
            asked(),
            compat(thinkingFormat=format_, supportsReasoningEffort=True),
            Traits(True),
            thinking="high",
        )
        assert made["reasoning_effort"] == "high"

    def test_other_kwargs_of_the_template_stay(self) -> None:
        made = apply_compat(
            asked(chat_template_kwargs={"a": 1}), compat(thinkingFormat="qwen-chat-template"), thinking="on"
        )
        assert made["chat_template_kwargs"] == {"a": 1, "enable_thinking": True}

    @pytest.mark.parametrize(
        ("levels", "level", "effort"),
        [
            ({}, "medium", "medium"),
            ({"minimal": "low"}, "minimal", "low"),
            ({"low": None, "medium": None, "high": "high"}, "low", "high"),
            ({"xhigh": None, "high": "hard"}, "xhigh", "hard"),
            ({"off": "none"}, "off", "none"),
            ({"off": None}, "off", None),
            ({}, "on", None),
        ],
    )
    def test_a_level_is_what_the_provider_calls_it(
        self, levels: dict[str, str | None], level: str, effort: str | None
    ) -> None:
        made = apply_compat(asked(), Compat(), Traits(True, levels), thinking=level)
        assert made.get("reasoning_effort") == effort

    def test_a_model_that_cannot_think_is_not_asked_to(self) -> None:
        made = apply_compat(asked(reasoning_effort="low"), compat(thinkingFormat="qwen"), Traits(False))
        assert made == asked()


@pytest.mark.parametrize(
    ("url", "base"),
    [
        (" http://127.0.0.1:1234/v1/ ", "http://127.0.0.1:1234/v1"),
        ("https://h/openai/v1/chat/completions", "https://h/openai/v1"),
        ("http://h/v1/models", "http://h/v1"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_a_base_url_is_brought_into_one_form(url: str, base: str) -> None:
    assert check_base_url(url) == base


@pytest.mark.parametrize(
    "url",
    [
        f"http://u:{SECRET}@h:99999/v1",
        f"http://u:{SECRET}@h:x/v1",
        f"http://u:{SECRET}@h/v1",
        f"http://u:{SECRET}",
        f"u:{SECRET}@h/v1",
        f"ftp://u:a@{SECRET}@h/v1",
        f"h/v1?key={SECRET}",
        f"http://[u:{SECRET}@h/v1",
        f"http://h:0/v1#{SECRET}",
        f"http://h\\@{SECRET}/v1",
        f"http://h /{SECRET}",
        f"http://h\n/{SECRET}",
    ],
)
def test_a_wrong_url_is_told_without_what_may_be_a_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_base_url(url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "CONNECTION", "Host", "a b", ""])
def test_a_header_of_the_connection_is_refused_by_name(name: str) -> None:
    with pytest.raises(
        ConfigurationError, match=f"header {name}: (is no name|{name} is set by the connection)"
    ):
        connect(base_url="http://127.0.0.1:1", headers={name: "1"})


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:1/v1", True),
        ("http://127.8.9.1/v1", True),
        ("http://[::1]:1234/v1", True),
        ("http://0.0.0.0:1234", True),
        ("http://api.localhost", True),
        ("http://10.0.0.1", False),
        ("http://localhost.example.com", False),
    ],
)
def test_loopback_is_told(url: str, local: bool) -> None:
    assert is_loopback(url) is local


def test_errors_keep_what_they_know_when_pickled() -> None:
    error = GatewayError("m", url="u", status=503, detail="d", code="c", retry_after=2.0)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), vars(again)) == ("m", vars(error))
    unknown = pickle.loads(pickle.dumps(UnknownModelError("qwen", ["qwen3", "x"], url="u")))
    assert (unknown.model, unknown.nearest, unknown.exit_code) == ("qwen", ["qwen3"], 5)


def test_public_names_load_when_they_are_used() -> None:
    assert sorted(client.__all__) == sorted(client._MODULES)
    for name in client.__all__:
        assert getattr(client, name) is not None
    script = (
        "import sys, hamr_parsers.client, hamr_parsers.client.config, hamr_parsers.client.connection\n"
        "bad = {'httpx2', 'asyncio', 'typer', 'starlette'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {bad}' if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_without_the_extra_a_command_says_what_to_install(home: Home) -> None:
    home()
    package = Path(client.__file__).parents[2]
    script = (
        "import sys; sys.modules['httpx2'] = None; sys.argv = ['hamr-parse', *sys.argv[1:]]\n"
        "from hamr_parsers.cli import main; main()"
    )

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "PYTHONPATH": str(package)}
        command = [sys.executable, "-c", script, *args]
        return subprocess.run(command, capture_output=True, text=True, env=environ)

    done = run("models")
    assert (done.returncode, done.stderr) == (
        2,
        "hamr-parse: this needs httpx2: pip install 'hamr-parsers[client]'\n",
    )
    assert run("config").returncode == 0
    assert run("login", "--preset", "vllm", "--offline").returncode == 0

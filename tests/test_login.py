"""`hamr-parse login`, `models` and `config`: files are kept, secrets are not shown, and the exit code tells the kind of
what went wrong."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hamr_parsers.cli import main
from hamr_parsers.client.config import write
from tests.scripted import Exchange, Scripted, listing

pytest.importorskip("httpx2")

SECRET = "sk-very-secret-4711"


@dataclass
class Ran:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Ran]:
    """Run `hamr-parse` in this process, in an empty home directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("NO_COLOR", "1")
    for name in ("XDG_CONFIG_HOME", "FORCE_COLOR", "RELAY_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    def go(*args: str | Path) -> Ran:
        monkeypatch.setattr(sys, "argv", ["hamr-parse", *map(str, args)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        assert isinstance(code, int)
        seen = capfd.readouterr()
        assert "Traceback" not in seen.err
        return Ran(code, seen.out, seen.err)

    return go


def serve(exchange: Exchange) -> None:
    key = exchange.headers["authorization"]
    if key == "Bearer wrong-key":
        exchange.error(401, f"no such key: {key}")
    else:
        models = [
            {"id": "Qwen3-8B", "meta": {"n_ctx_train": 40960}},
            {"id": "devstral:24b", "name": "Devstral"},
        ]
        exchange.json({"object": "list", "data": models})


@pytest.fixture
def gateway() -> Iterator[Scripted]:
    with Scripted(serve) as scripted:
        yield scripted


@pytest.fixture
def models_json(tmp_path: Path) -> Path:
    return tmp_path / ".hamr" / "agent" / "models.json"


def put(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


class TestLogin:
    def test_it_writes_what_the_options_say_and_the_gateway_has(
        self, run: Run, gateway: Scripted, models_json: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RELAY_API_KEY", SECRET)
        ran = run(
            "login", "--preset", "relay", "--base-url", gateway.base_url + "/", "--api-key", "$RELAY_API_KEY",
            "--name", "work", "--header", "X-Team=blue", "--header", "X-Key: ${RELAY_API_KEY}",
            "--parser", "hermes",
        )  # fmt: skip
        assert ran.code == 0
        assert "~/.hamr/agent/models.json: added provider 'work'" in ran.out
        assert "key: $RELAY_API_KEY (set)" in ran.out
        assert "model: Qwen3-8B, read as hermes" in ran.out
        assert SECRET not in ran.out + ran.err
        assert json.loads(models_json.read_text()) == {
            "providers": {
                "work": {
                    "baseUrl": gateway.base_url,
                    "api": "openai-completions",
                    "apiKey": "$RELAY_API_KEY",
                    "tool_call_parser": "hermes",
                    "headers": {"X-Team": "blue", "X-Key": "${RELAY_API_KEY}"},
                    "models": [
                        {"id": "Qwen3-8B", "contextWindow": 40960},
                        {"id": "devstral:24b", "name": "Devstral"},
                    ],
                }
            }
        }
        request = gateway.requests[0]
        assert request.headers["authorization"] == f"Bearer {SECRET}"
        assert (request.headers["x-team"], request.headers["x-key"]) == ("blue", SECRET)
        assert run("models", "--provider", "work").code == 0

    @pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
    def test_only_the_user_can_read_it(self, run: Run, models_json: Path) -> None:
        put(models_json, "{}")
        models_json.chmod(0o644)
        assert run("login", "--preset", "vllm", "--offline").code == 0
        assert stat.S_IMODE(models_json.stat().st_mode) == 0o600
        assert [p.name for p in models_json.parent.iterdir()] == ["models.json"]

    def test_what_it_does_not_know_stays_in_its_place(
        self, run: Run, gateway: Scripted, models_json: Path
    ) -> None:
        before = {
            "zeta": [1, {"a": None}],
            "providers": {
                "other": {"api": "x", "baseUrl": "http://o", "oauth": {"b": 1}},
                "relay": {
                    "color": "#fff",
                    "apiKey": "$KEEP",
                    "baseUrl": "http://old",
                    "headers": {"X-Old": "u$$"},
                    "models": [{"id": "Qwen3-8B", "contextWindow": 5, "mine": True}, {"id": "gone"}],
                    "compat": {"supportsStore": False},
                },
            },
            "alpha": 1.50,
        }
        put(models_json, json.dumps(before, indent=4))
        os.environ["KEEP"] = "kept"
        try:
            ran = run("login", "--preset", "relay", "--base-url", gateway.base_url, "--header", "X-New=1")
        finally:
            del os.environ["KEEP"]
        assert ran.code == 0, ran.err
        after = json.loads(models_json.read_text())
        relay = before["providers"]["relay"]  # type: ignore[index]
        relay["baseUrl"] = gateway.base_url
        relay["headers"]["X-New"] = "1"
        relay["models"].append({"id": "devstral:24b", "name": "Devstral"})
        relay["api"] = "openai-completions"
        assert after == before
        assert list(after) == list(before) and list(after["providers"]["relay"]) == list(relay)
        assert '\n    "zeta"' in models_json.read_text()  # its indentation, too
        assert "(was listed, unchanged)" in ran.out
        assert gateway.requests[0].headers["authorization"] == "Bearer kept"  # the key that stands there

    def test_a_file_with_comments_is_copied_first(self, run: Run, models_json: Path) -> None:
        put(models_json, '{ // my gateways\n "providers": {}, }')
        ran = run("login", "--preset", "ollama", "--offline")
        assert ran.code == 0
        assert "models.json.bak" in ran.err
        assert "my gateways" in models_json.with_name("models.json.bak").read_text()
        assert "ollama" in json.loads(models_json.read_text())["providers"]

    def test_a_link_stays_a_link(self, run: Run, models_json: Path, tmp_path: Path) -> None:
        real = tmp_path / "dotfiles" / "models.json"
        put(real, "{}")
        models_json.parent.mkdir(parents=True)
        models_json.symlink_to(real)
        assert run("login", "--preset", "vllm", "--offline").code == 0
        assert models_json.is_symlink()
        assert "vllm" in json.loads(real.read_text())["providers"]

    @pytest.mark.parametrize("content", ["{,,}", '{"providers": []}', '{"providers": {"x": {"apiKey": 1}}}'])
    def test_a_file_that_cannot_be_used_is_left_alone(
        self, run: Run, gateway: Scripted, models_json: Path, content: str
    ) -> None:
        put(models_json, content)
        ran = run("login", "--base-url", gateway.base_url)
        assert (ran.code, ran.out) == (2, "")
        assert "models.json" in ran.err
        assert models_json.read_text() == content
        assert gateway.requests == []

    def test_a_crash_leaves_the_old_file(
        self, run: Run, models_json: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(models_json, "{}")

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(write.os, "replace", fail)
        ran = run("login", "--preset", "vllm", "--offline")
        assert ran.code == 2
        assert "No space left on device" in ran.err
        assert [p.name for p in models_json.parent.iterdir()] == ["models.json"]
        assert models_json.read_text() == "{}"

    def test_a_dead_gateway_writes_nothing_unless_offline(self, run: Run, models_json: Path) -> None:
        args = ("login", "--base-url", "http://127.0.0.1:9/v1", "--name", "x")
        ran = run(*args)
        assert ran.code == 3
        assert "nothing was written (--offline writes" in ran.err
        assert not models_json.exists()
        assert run(*args, "--offline", "--model", "m1").code == 0
        assert json.loads(models_json.read_text())["providers"]["x"]["models"] == [{"id": "m1"}]

    def test_a_refused_key_writes_nothing(self, run: Run, gateway: Scripted, models_json: Path) -> None:
        ran = run("login", "--base-url", gateway.base_url, "--api-key", "wrong-key")
        assert ran.code == 4
        assert "wrong-key" not in ran.out + ran.err
        assert not models_json.exists()

    def test_a_model_that_is_not_served_gets_the_nearest(
        self, run: Run, gateway: Scripted, models_json: Path
    ) -> None:
        ran = run("login", "--base-url", gateway.base_url, "--model", "Qwen3-8")
        assert ran.code == 5
        assert "did you mean 'Qwen3-8B'" in ran.err
        assert not models_json.exists()
        assert run("login", "--base-url", gateway.base_url, "--model", "qwen3-8b").code == 0
        (model,) = json.loads(models_json.read_text())["providers"]["custom"]["models"]
        assert model["id"] == "Qwen3-8B"

    @pytest.mark.parametrize(
        ("args", "says"),
        [
            ((), "--base-url"),
            (("--preset", "custom"), "--base-url"),
            (("--preset", "nothing"), "relay"),
            (("--base-url", "localhost:1234"), "is no http(s) URL"),
            (("--preset", "relay", "--header", SECRET), "NAME=VALUE"),
            (("--preset", "relay", "--api-key", "${X", "--offline"), "--api-key"),
            (("--preset", "relay", "--api-key", "$NO_SUCH_KEY"), "NO_SUCH_KEY is not set"),
            (("--preset", "relay", "--api-key", "!echo x"), "--allow-commands"),
            (("--preset", "relay", "--parser", "hermez"), "did you mean 'hermes'"),
            (("--preset", "relay", "--offline", "--name", " "), "--name"),
            (("--preset", "relay", "--offline", "--header", "Host=a"), "--header Host: Host is set by"),
        ],
    )
    def test_wrong_usage_is_code_2(
        self, run: Run, models_json: Path, args: tuple[str, ...], says: str
    ) -> None:
        ran = run("login", *args)
        assert ran.code == 2
        assert says in " ".join(ran.err.replace("│", " ").split())
        assert SECRET not in ran.err
        assert not models_json.exists()

    def test_a_literal_key_is_written_with_a_remark(self, run: Run, models_json: Path) -> None:
        ran = run("login", "--preset", "vllm", "--api-key", SECRET, "--offline")
        assert ran.code == 0
        assert "`$NAME` would keep it out" in ran.err
        assert SECRET not in ran.out + ran.err
        assert json.loads(models_json.read_text())["providers"]["vllm"]["apiKey"] == SECRET


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_on_a_terminal_it_asks(gateway: Scripted, tmp_path: Path) -> None:
    import pty
    import select

    child, terminal = pty.fork()
    if not child:
        os.chdir(tmp_path)
        paths = os.pathsep.join([p for p in sys.path if p])
        environ = {**os.environ, "HOME": str(tmp_path), "NO_COLOR": "1", "PYTHONPATH": paths, "MY_KEY": "v"}
        os.execve(sys.executable, [sys.executable, "-m", "hamr_parsers", "login"], environ)
    seen = ""
    answers = {
        "Which gateway": "llama.cpp",
        "Base URL": gateway.base_url,
        "API key": "$MY_KEY",
        "Name": "",
    }
    try:
        while select.select([terminal], [], [], 20)[0]:
            try:
                piece = os.read(terminal, 4096)
            except OSError:
                break
            if not piece:
                break
            seen += piece.decode()
            last = seen.rpartition("\n")[2]
            for question, answer in list(answers.items()):
                if last.startswith(question) and last.endswith(": "):
                    os.write(terminal, answer.encode() + b"\n")
                    del answers[question]
        assert os.waitpid(child, 0)[1] == 0, seen
    finally:
        os.close(terminal)
    assert "$MY_KEY (set)" in seen
    assert "hidden): \r\n" in seen  # the key was not shown while it was typed
    providers = json.loads((tmp_path / ".hamr" / "agent" / "models.json").read_text())["providers"]
    assert providers["llamacpp"]["apiKey"] == "$MY_KEY"


def test_an_end_of_input_at_a_question_is_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    import typer

    from hamr_parsers.cli import login

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(typer.Exit) as caught:
        login._ask("Name", "x")
    assert caught.value.exit_code == 130


class TestModels:
    def test_each_model_has_its_parser_and_why(self, run: Run, gateway: Scripted, models_json: Path) -> None:
        put(
            models_json,
            {
                "providers": {
                    "r": {
                        "baseUrl": gateway.base_url,
                        "models": [{"id": "devstral:24b", "tool_call_parser": "pythonic"}],
                        "modelOverrides": {"typo": {"name": "x"}},
                    }
                }
            },
        )
        ran = run("models")
        assert ran.code == 0
        lines = {line.split()[0]: line for line in ran.out.splitlines()}
        assert "40960" in lines["Qwen3-8B"] and "hermes" in lines["Qwen3-8B"]
        marked = next(line for line in ran.out.splitlines() if line.startswith("*"))
        assert "pythonic" in marked and "providers.r.models[0].tool_call_parser" in marked
        assert "the gateway has no model 'typo', so it has no effect" in ran.err

        found = {model["id"]: model for model in run("models", "--format", "json").json()["models"]}
        assert found["Qwen3-8B"]["context_window"] == 40960
        assert found["Qwen3-8B"]["chosen_by"] == {"kind": "detected", "what": "by the model's name"}
        assert found["devstral:24b"]["active"] is True
        assert found["devstral:24b"]["chosen_by"]["key"] == "providers.r.models[0].tool_call_parser"

    def test_only_the_named_ones(self, run: Run, gateway: Scripted) -> None:
        shown = run("models", "devstral", "--base-url", gateway.base_url, "--format", "json")
        assert [m["id"] for m in shown.json()["models"]] == ["devstral:24b"]
        assert run("models", "Qwen4", "--base-url", gateway.base_url).code == 5

    @pytest.mark.parametrize(
        ("answer", "code", "says"),
        [
            (lambda e: e.send(200, "<html>", "text/html"), 3, "a web page"),
            (lambda e: e.error(403, "no"), 4, "wants a key"),
            (
                lambda e: e.send(302, "", "text/html", {"location": "https://t.cloudflareaccess.com/login"}),
                4,
                "CF-Access-Client-Id and CF-Access-Client-Secret",
            ),
            (lambda e: e.error(500, "broken"), 6, "failed (HTTP 500): broken"),
            (lambda e: e.json(listing()), 0, "serves no model"),
        ],
    )
    def test_the_exit_code_tells_the_kind(
        self, run: Run, answer: Callable[[Exchange], None], code: int, says: str
    ) -> None:
        with Scripted(answer) as gateway:
            ran = run("models", "--base-url", gateway.base_url)
        assert ran.code == code
        assert says in ran.err
        assert len(ran.err.splitlines()) == 1

    def test_names_of_a_gateway_do_not_command_the_terminal(self, run: Run) -> None:
        with Scripted(lambda e: e.json(listing("\x1b[2Jevil"))) as gateway:
            assert "\\x1b[2Jevil" in run("models", "--base-url", gateway.base_url).out


class TestConfig:
    def test_every_value_says_where_it_comes_from_and_no_secret_is_shown(
        self, run: Run, models_json: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RELAY_API_KEY", SECRET)
        put(
            models_json,
            {
                "providers": {
                    "r": {
                        "baseUrl": "http://127.0.0.1:1/v1",
                        "apiKey": "$RELAY_API_KEY",
                        "headers": {"X-A": "$NOT_THERE", "X-B": SECRET, "X-C": "!pass show x"},
                        "compat": {"supportsDeveloperRole": False},
                        "models": [{"id": "Qwen3-8B", "contextWindow": 7}],
                    }
                }
            },
        )
        put(tmp_path / ".hamr.toml", '[providers.r]\nmodel = "Qwen3-8B"\n')
        ran = run("config")
        assert (ran.code, ran.err) == (0, "")
        assert SECRET not in ran.out
        for part in (
            "$RELAY_API_KEY (set)", "$NOT_THERE (missing)", "a command", "provider r (in use)",
            "~/.hamr/agent/models.json: providers.r.apiKey", "~/.hamr.toml: providers.r.model",
            "providers.r.compat.supportsDeveloperRole", "detected by the model's name",
        ):  # fmt: skip
            assert part in ran.out, part

        document = run("config", "--format", "json").json()
        assert [f["found"] for f in document["files"]] == [True, False, True]
        (provider,) = document["providers"]
        assert provider["used"] is True
        assert provider["values"]["headers.X-B"]["value"] == "set"
        assert provider["values"]["api"]["source"] == {"kind": "default"}
        (model,) = provider["models"]
        assert model["values"]["context_window"] == {
            "value": 7,
            "source": {
                "kind": "file",
                "file": str(models_json),
                "key": "providers.r.models[0].contextWindow",
            },
        }

        shown = run("config", "--model", "Qwen3-8B", "--format", "json").json()
        values = shown["providers"][0]["models"][0]["values"]
        assert values["max_tokens"] == {"value": 16384, "source": {"kind": "default"}}
        assert values["compat.supportsDeveloperRole"]["value"] is False

    def test_without_files_the_default_is_shown(self, run: Run) -> None:
        ran = run("config")
        assert ran.code == 0
        assert "http://127.0.0.1:1234/v1" in ran.out and "not there" in ran.out

    def test_a_wrong_file_is_one_line_and_code_2(self, run: Run, models_json: Path) -> None:
        put(models_json, '{"providers": {"x": {}}}')
        ran = run("config")
        assert ran.code == 2
        assert ran.err == f"hamr-parse: {models_json}: providers.x: baseUrl is required\n"

    def test_several_without_an_active_one_are_all_shown(self, run: Run, models_json: Path) -> None:
        put(models_json, {"providers": {"a": {"baseUrl": "http://a"}, "b": {"baseUrl": "http://b"}}})
        ran = run("config")
        assert ran.code == 0
        assert "provider a" in ran.out and "provider b" in ran.out
        assert "none is active" in ran.err

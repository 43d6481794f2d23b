"""The ways in which a program reaches a gateway: as it is (raw), or cured by a transport, by the proxy, or by
`normalize_stream` and `normalize_response` around what the `openai` package gives it."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.clients.program import Place, Program

ROOT = Path(__file__).resolve().parents[2]
CURES = ("transport", "proxy", "normalize")


def fits(program: Program, cure: str) -> bool:
    """Whether a program can take a cure: Node takes no Python transport, only a loop of one's own can wrap."""
    if cure == "transport":
        return bool(program.http)
    return cure != "normalize" or program.wraps


def direct(base_url: str, model: str) -> Place:
    return Place(base_url, model)


def transported(base_url: str, model: str, program: Program, options: Mapping[str, Any]) -> Place:
    """Through the transport for the HTTP package that the program's client runs on."""
    from hamr_parsers.client import transport

    if program.http == "httpx":
        make, make_async = transport.httpx_client, transport.async_httpx_client
    else:
        make, make_async = transport.httpx2_client, transport.async_httpx2_client
    return Place(base_url, model, lambda: make(**options), lambda: make_async(**options))


def normalized(base_url: str, model: str, options: Mapping[str, Any]) -> Place:
    """With the agent loop's stream wrapped."""
    from hamr_parsers.wire import normalize_response, normalize_stream

    def wrap(answer: Any, request: Mapping[str, Any]) -> Any:
        if hasattr(answer, "choices"):
            return normalize_response(answer, request=request, **options)
        return normalize_stream(answer, request=request, **options)

    return Place(base_url, model, wrap=wrap)


@contextlib.contextmanager
def proxy(base_url: str, /, **options: str) -> Iterator[str]:
    """`hamr-parse serve` before a gateway, in a process of its own, with some `WireOptions`; gives its base URL."""
    command = [
        sys.executable,
        "-m",
        "hamr_parsers",
        "serve",
        "--upstream",
        base_url,
        "--port",
        "0",
        "--quiet",
    ]
    for name, value in options.items():
        command += ["--upstream-mode" if name == "upstream" else f"--{name}", value]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, encoding="utf-8"
    )
    assert process.stdout is not None
    told = []
    try:
        for line in process.stdout:
            told.append(line)
            found = re.search(r"http://127\.0\.0\.1:[1-9]\d*", line)
            if found and found[0] not in base_url:
                yield found[0] + "/v1"
                break
        else:
            raise RuntimeError(f"the proxy did not start: {''.join(told)}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()

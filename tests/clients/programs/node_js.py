"""Node: the `openai` package (loop, `.stream()`, whole) and the Vercel AI SDK (streamed, whole), in `node/agent.mjs`.

They take no Python transport, so the proxy is their only cure here. The packages of `node/package.json` are installed
into the user's cache folder, under a name made of what they are, if `HAMR_TEST_NODE=1` says so; from then on the
programs run wherever that folder is. One Node process runs all jobs.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

from tests.clients.program import RESULT, Outcome, Place, Program, Task

SOURCE = Path(__file__).resolve().parents[1] / "node"
OLDEST_NODE = 20
INSTALL_SECONDS = 180
SWITCH = "HAMR_TEST_NODE"


@functools.cache
def missing() -> str:
    """Why Node programs cannot run here; "" if they can, once they are installed."""
    if not shutil.which("node") or not shutil.which("npm"):
        return "node or npm is not there"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0] or 0) < OLDEST_NODE:
        return f"node {version} is older than {OLDEST_NODE}"
    if not folder().exists() and os.environ.get(SWITCH) != "1":
        return f"their packages are not installed: {SWITCH}=1 installs them, with npm, into {folder()}"
    return ""


@functools.cache
def prepare() -> str:
    """Install what the programs need; says why that cannot be done."""
    try:
        install()
    except (OSError, subprocess.SubprocessError) as error:
        told = getattr(error, "stderr", None) or str(error)
        return f"npm install failed: {' '.join(str(told).split())[:200]}"
    return ""


def files() -> list[Path]:
    return sorted(path for path in SOURCE.iterdir() if path.suffix in (".json", ".mjs"))


@functools.cache
def folder() -> Path:
    """Where the programs and their packages are, once they are installed."""
    mark = hashlib.sha256(b"\0".join(path.read_bytes() for path in files())).hexdigest()[:16]
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "hamr-parsers-tests" / f"node-{mark}"


def install() -> None:
    """Install the programs and their packages.

    Raises:
        OSError, subprocess.SubprocessError: it cannot be done.
    """
    if folder().exists():
        return
    base = folder().parent
    base.mkdir(parents=True, exist_ok=True)
    # Made elsewhere and moved when complete: another test process may be doing the same.
    work = Path(tempfile.mkdtemp(dir=base))
    try:
        for path in files():
            shutil.copy(path, work)
        subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"],
            cwd=work,
            check=True,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
        )
        try:
            work.rename(folder())
        except OSError:
            if not folder().exists():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


class Node:
    """The Node process, started by the first job."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.process: subprocess.Popen[str] | None = None

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            if self.process is None or self.process.poll() is not None:
                self.process = subprocess.Popen(
                    ["node", "agent.mjs"],
                    cwd=folder(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    encoding="utf-8",
                )
                atexit.register(self.stop)
            assert self.process.stdin and self.process.stdout
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError("the Node process ended")
            outcome: dict[str, Any] = json.loads(line)
            return outcome

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe:
                    pipe.close()
            self.process = None


NODE = Node()


def program(client: str, name: str, stream: bool) -> Program:
    def main(task: Task, place: Place, outcome: Outcome) -> None:
        told = NODE.run(
            {
                "program": name,
                "base_url": place.base_url,
                "model": place.model,
                "question": task.question,
                "tools": list(task.tools),
                "result": RESULT,
            }
        )
        outcome.calls = [(name, arguments) for name, arguments in told["calls"]]
        outcome.answer = told["answer"]
        outcome.error = told["error"]
        outcome.finish = told["finish"]

    return Program(client, "node", stream, main, http="", check=missing, prepare=prepare)


PROGRAMS = (
    program("Node openai 6 loop", "Node openai loop", True),
    program("Node openai 6 .stream()", "Node openai .stream()", True),
    program("Node openai 6", "Node openai", False),
    program("Vercel ai 6", "Vercel ai streamed", True),
    program("Vercel ai 6", "Vercel ai", False),
)

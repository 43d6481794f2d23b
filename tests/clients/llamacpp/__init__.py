"""A real llama.cpp server that recites what a test wants: its own templates, parser, grammars and HTTP.

`reciter.py` writes a model that knows a few texts by heart, `serve.py` runs llama.cpp's server on it in a process of
its own (the wheel `xllamacpp` has the whole C++ server), `running` starts and stops that process.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MODEL = "reciter"
PACKAGES = ("gguf", "numpy", "xllamacpp")
START_SECONDS = 60


def missing() -> str:
    """Why there can be no llama.cpp server here; "" if there can be one."""
    gone = [package for package in PACKAGES if importlib.util.find_spec(package) is None]
    return f"{', '.join(gone)} not installed (the extra `clients` has them)" if gone else ""


@contextlib.contextmanager
def running(model: Path, *options: str) -> Iterator[str]:
    """A server for a model file, with options of `serve.py`; gives its base URL."""
    root = Path(__file__).resolve().parents[3]
    log = model.with_suffix(".log")
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.clients.llamacpp.serve", str(model), *options],
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            text=True,
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.startswith("listening "):
                    break
            else:
                raise RuntimeError(f"llama.cpp did not start: {log.read_text(errors='replace')[-2000:]}")
            yield line.split()[1] + "/v1"
        finally:
            process.send_signal(signal.SIGKILL)  # nothing of it is worth the wait
            process.wait()
            process.stdout.close()

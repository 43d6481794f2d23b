"""Run llama.cpp's server on a model file, on a free port of 127.0.0.1; says `listening URL` once it serves.

python -m tests.clients.llamacpp.serve MODEL.gguf [--reasoning-format none|auto|deepseek] [--skip-chat-parsing]
"""

from __future__ import annotations

import argparse
import socket
import threading

from tests.clients.llamacpp import MODEL


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("model")
    arguments.add_argument("--reasoning-format", default="auto")
    arguments.add_argument("--skip-chat-parsing", action="store_true")
    given = arguments.parse_args()

    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = given.model
    params.hostnames = ["127.0.0.1"]
    params.port = free_port()
    params.n_ctx = 4096
    params.n_parallel = 2
    params.use_jinja = True
    params.warmup = False
    params.cpuparams.n_threads = 1
    params.sampling.temp = 0.0
    params.model_alias = {MODEL}
    params.verbosity = 0
    params.force_pure_content_parser = given.skip_chat_parsing
    params.reasoning_format = getattr(
        xllamacpp.common_reasoning_format, f"COMMON_REASONING_FORMAT_{given.reasoning_format.upper()}"
    )
    server = xllamacpp.Server(params)
    print("listening", server.listening_address, flush=True)
    threading.Event().wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()

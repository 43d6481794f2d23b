"""`hamr-parse`: the parsers over captured files, for people and for scripts.

Theory. One module a command; each is a thin function over the public API (`hamr_parsers`) and the transcript
readers, so that nothing here decides what a text means. Data goes to standard output, every remark and error
to standard error, an error in one line; the exit code is 0, 1 (a check failed) or 2 (usage, or input that
cannot be read). One bad file never stops the others. Heavy imports (the engine, rich) wait until a command
needs them, so that `--help` and shell completion answer at once.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """The console script. Ends the process with the exit code."""
    from .app import app
    from .console import setup_streams

    setup_streams()
    app(prog_name="hamr-parse")

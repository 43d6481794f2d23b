"""Writes the table of docs/gateways.md from the replay gateway's faults: `python -m tests.gateways_doc`.

`tests/test_docs.py` fails while the table is stale.
"""

from __future__ import annotations

from pathlib import Path

from hamr_parsers.serve.replay import FAULTS

DOCUMENT = Path(__file__).parent.parent / "docs" / "gateways.md"
BEGIN, END = "<!-- faults: begin (python -m tests.gateways_doc) -->", "<!-- faults: end -->"

OUTCOMES = {
    "right": "the right answer",
    "cut": 'what came, `finish_reason: "length"`',
    "error": "what came, then the error",
    "gone": 'lost on the way: ask with `upstream="text"`',
}


def table() -> str:
    """The faults as a Markdown table."""
    rows = ["| `--fault` | what the gateway does | what a program gets |", "|---|---|---|"]
    for fault in FAULTS.values():
        cells = (f"`{fault.name}`", fault.text, OUTCOMES[fault.outcome])
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def with_table(text: str) -> str:
    """The document with the table as it is now."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{table()}\n{END}{tail}"


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")

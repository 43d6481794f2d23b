"""The planted defects still fit the code. Whether the fuzzer finds them: `python -m tests.planted` (minutes)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .planted.apply import apply

ROOT = Path(__file__).resolve().parents[1]
PATCHES = sorted((ROOT / "tests" / "planted").glob("*.patch"))


@pytest.mark.parametrize("patch", PATCHES, ids=lambda p: p.stem)
def test_planted_defect_still_fits(patch: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    apply(patch, tmp_path)
    changed = [
        file
        for file in (tmp_path / "src").rglob("*.py")
        if file.read_bytes() != (ROOT / file.relative_to(tmp_path)).read_bytes()
    ]
    assert changed
    for file in changed:
        compile(file.read_text(encoding="utf-8"), str(file), "exec")

"""`python -m tests.planted`: does the fuzzer find each planted defect?

For each patch: a copy of src/ with the defect, the fuzzer on it until it finds something, at most `--seconds`.
Exit 1 if a defect was not found or a patch does not fit. A finding proves nothing where the code without the
defect gives one as well, so that is tried first, for as long.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .apply import PatchError, apply, title

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def _try(patch: Path | None, options: argparse.Namespace) -> bool:
    """Whether the fuzzer finds something, with the patch applied or in the code as it is."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory)
        shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
        try:
            if patch is not None:
                apply(patch, copy)
        except PatchError as error:
            print(f"{error.args[0]}", flush=True)
            return False
        command = [sys.executable, "-m", "tests.fuzz", "--first", "--shrink", str(options.shrink)]
        command += [
            "--seconds",
            str(options.seconds),
            "--jobs",
            str(options.jobs),
            "--seed",
            str(options.seed),
        ]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(copy / "src"), str(ROOT)])}
        started = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        seconds = time.monotonic() - started
    how = next((line for line in done.stdout.splitlines() if line.startswith("# ")), "")
    found = done.returncode == 1 and bool(how)
    if patch is None:
        print(f"without a defect: {'FOUND' if found else 'nothing found'} in {seconds:.0f} s", flush=True)
        if found:
            print(done.stdout[-2000:], flush=True)
        return found
    verdict = "found" if found else "NOT FOUND"
    print(f"{patch.stem}: {verdict} in {seconds:.0f} s ({title(patch)})", flush=True)
    if found:
        print(f"    {how[:160]}", flush=True)
    else:
        print(done.stdout[-2000:], done.stderr[-2000:], sep="\n", flush=True)
    return found


def main() -> int:
    """Try the patches, print a line for each and a total."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=__doc__.splitlines()[0])
    parser.add_argument("patch", nargs="*", help="only patches whose name contains this")
    parser.add_argument("--seconds", type=float, default=60, help="for each patch (default 60)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shrink", type=float, default=0, help="seconds for making each finding small")
    parser.add_argument("--no-baseline", action="store_true", help="do not try the code without a defect")
    options = parser.parse_args()
    patches = sorted(HERE.glob("*.patch"))
    if options.patch:
        patches = [p for p in patches if any(part in p.stem for part in options.patch)]
    clean = options.no_baseline or not _try(None, options)
    found = [_try(patch, options) for patch in patches]
    print(f"{sum(found)} of {len(found)} planted defects found")
    return 0 if clean and found and all(found) else 1


if __name__ == "__main__":
    sys.exit(main())

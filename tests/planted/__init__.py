"""Planted defects: proof that the fuzzer finds what it is for.

Each `NN_name.patch` here is a unified diff of src/ with one small, plausible defect. `python -m tests.planted`
applies one after the other to a copy of src/ and runs the fuzzer on it: all must be found. `apply` goes by the
lines of a hunk and not by its line numbers, so that a patch outlives changes elsewhere in its file; keep the
context short. The first line of a patch, before the diff, says what the defect is.
"""

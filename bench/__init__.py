"""Measurements. They report; none asserts a time.

python -m bench.ratios [--quick] [--family ID]     a table of ratios to floors of the same run
pytest bench -m bench                              the same workloads under pytest-benchmark
"""

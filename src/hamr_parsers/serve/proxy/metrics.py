"""What the proxy counts, for Prometheus.

Theory. Labels are bounded: endpoints and parsers by their registered names, statuses by their class, repairs by the
wire layer's codes. No model name, no path and no text of a client becomes a label. Added latency is the time from a
piece's arrival to its being handed on, per piece; it leaves out how long the client takes to read, and what a piece
waits in the kernel while the process is busy (bench/load.py measures both ends from outside).
"""

from __future__ import annotations

from collections import Counter as Counts

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from ...wire.report import Report

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BUCKETS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)


class Metrics:
    """One registry of its own, so that several proxies can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"hamr_{name}", text, labels, registry=self.registry)

        self.requests = counter("requests", "Requests by endpoint and status", "endpoint", "status")
        self.calls = counter("tool_calls", "Tool calls given out, by parser", "parser", "source")
        self.mends = counter("mends", "What was odd about the text of answers, and mended")
        self.leaks = counter("leaks_prevented", "Calls and reasoning taken out of the text of answers")
        self.repairs = counter("wire_repairs", "Deviations of the wire that were mended", "code")
        self.upstream_errors = counter("upstream_errors", "Failures of the upstream", "kind")
        self.gone = counter("client_disconnects", "Clients that left before the end of their answer")
        self.captures = counter("captures", "Transcripts written", "outcome")
        self.active = Gauge("hamr_active_streams", "Answers that are being streamed", registry=self.registry)
        self.added = Histogram(
            "hamr_added_latency_seconds",
            "From the arrival of a piece of a stream to its being handed on",
            registry=self.registry,
            buckets=_BUCKETS,
        )

    def took(self, report: Report) -> None:
        """Count what one answer's report says."""
        for (parser, source), number in Counts(report.calls).items():
            self.calls.labels(parser, source).inc(number)
        self.mends.inc(report.mends)
        self.leaks.inc(report.leaks)
        for code, number in report.repairs.items():
            self.repairs.labels(code).inc(number)

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self.registry)

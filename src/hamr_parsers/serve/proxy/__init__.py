"""The normalizing proxy: any gateway's answers in the safe shape, for programs of any language.

Theory. A client's request goes to the upstream and its answer through the wire layer on the way back (normalized.py);
everything else passes untouched (passing.py). The rest are its parts, from the client inwards:

    delivery    what one client gets: head, events, comments in silence       surface   the client's protocol
    client      its request, and its leaving                                  failure   trouble in words
    upstream    the other side, over httpx2                                   headers   what is passed on
    metrics, capture, redact                                                  what is told about it

Nothing grows: a stream holds one piece of the upstream and what its parser holds; a client that reads slowly slows the
upstream. One process, one thread: the figures of bench/load.py are of one core's half.
"""

from __future__ import annotations

from .app import Proxy
from .server import bind, is_local, running, serve
from .settings import LOCAL_NAMES, Limits, ProxySettings, ServeError, Target, Timeouts

__all__ = [
    "LOCAL_NAMES",
    "Limits",
    "Proxy",
    "ProxySettings",
    "ServeError",
    "Target",
    "Timeouts",
    "bind",
    "is_local",
    "running",
    "serve",
]

"""What the caller of the gateway can do wrong."""

from __future__ import annotations

from ...errors import HamrParsersError

__all__ = ["ReplayError"]


class ReplayError(HamrParsersError, ValueError):
    """The gateway cannot be made, or cannot listen, as it was told to; the message says what would do."""

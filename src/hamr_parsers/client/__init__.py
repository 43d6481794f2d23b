"""The client layer: configuration, discovery, chat, transports and history, for any OpenAI-compatible gateway.

Names load when they are used: what needs no HTTP brings none in.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .async_chat import AsyncChatClient, AsyncChatStream, ChatResponse, GatewayModel, StreamEvent
    from .chat import ChatClient, ChatStream
    from .config import Configuration, apply_compat, load_configuration
    from .correction import correction_message
    from .discovery import ServedModel
    from .errors import (
        AccessRefusedError,
        ClientError,
        CommandNotAllowedError,
        ConfigurationError,
        GatewayError,
        GatewayStatusError,
        GatewayTimeoutError,
        GatewayUnreachableError,
        MissingExtraError,
        MissingVariableError,
        NotAGatewayError,
        ProviderError,
        StreamRunningError,
        UnknownModelError,
    )
    from .history import HistoryError, HistoryRepair, diagnose_history, repair_history
    from .notices import Notice, Timeout
    from .schema_check import check_arguments
    from .transport import async_httpx2_client, async_httpx_client, httpx2_client, httpx_client, transports

__all__ = [
    "AccessRefusedError",
    "AsyncChatClient",
    "AsyncChatStream",
    "ChatClient",
    "ChatResponse",
    "ChatStream",
    "ClientError",
    "CommandNotAllowedError",
    "Configuration",
    "ConfigurationError",
    "GatewayError",
    "GatewayModel",
    "GatewayStatusError",
    "GatewayTimeoutError",
    "GatewayUnreachableError",
    "HistoryError",
    "HistoryRepair",
    "MissingExtraError",
    "MissingVariableError",
    "NotAGatewayError",
    "Notice",
    "ProviderError",
    "ServedModel",
    "StreamEvent",
    "StreamRunningError",
    "Timeout",
    "UnknownModelError",
    "apply_compat",
    "async_httpx2_client",
    "async_httpx_client",
    "check_arguments",
    "correction_message",
    "diagnose_history",
    "httpx2_client",
    "httpx_client",
    "load_configuration",
    "repair_history",
    "transports",
]

#: The public names, and the module that has each.
_MODULES = {
    "AsyncChatClient": "async_chat",
    "AsyncChatStream": "async_chat",
    "ChatResponse": "async_chat",
    "GatewayModel": "async_chat",
    "StreamEvent": "async_chat",
    "ChatClient": "chat",
    "ChatStream": "chat",
    "Configuration": "config",
    "apply_compat": "config",
    "load_configuration": "config",
    "ServedModel": "discovery",
    "AccessRefusedError": "errors",
    "ClientError": "errors",
    "CommandNotAllowedError": "errors",
    "ConfigurationError": "errors",
    "GatewayError": "errors",
    "GatewayStatusError": "errors",
    "GatewayTimeoutError": "errors",
    "GatewayUnreachableError": "errors",
    "MissingExtraError": "errors",
    "MissingVariableError": "errors",
    "NotAGatewayError": "errors",
    "ProviderError": "errors",
    "StreamRunningError": "errors",
    "UnknownModelError": "errors",
    "Notice": "notices",
    "Timeout": "notices",
    "HistoryError": "history",
    "HistoryRepair": "history",
    "diagnose_history": "history",
    "repair_history": "history",
    "correction_message": "correction",
    "check_arguments": "schema_check",
    "async_httpx2_client": "transport",
    "async_httpx_client": "transport",
    "httpx2_client": "transport",
    "httpx_client": "transport",
    "transports": "transport",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(f".{module}", __name__), name)
    except ModuleNotFoundError as error:
        if error.name != "httpx2":
            raise
        from .errors import MissingExtraError

        raise MissingExtraError("client", error.name) from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})

"""Anthropic's Messages API over a chat completions server.

How to drive it, for one request whose JSON body is `asked`:

    translated = to_chat(asked)                    # BadRequestError: answer with error_response(error)
    exchange = Exchange(translated.body, options)
    # send exchange.body upstream; then, not streaming:
    answer = from_completion(exchange.response(payload), asked)
    # or streaming:
    chat, stream = exchange.normalizer(), MessagesStream(asked)
    send(stream.start())                           # at once, if you like: the model may take long to load
    for chunk in upstream:
        for out in chat.feed(chunk): send(stream.feed(out))
    for out in chat.close(): send(stream.feed(out))
    send(stream.close(chat.error))                 # always: it ends what is open; there is no `[DONE]`

where `send(events)` writes `encode(name, payload)` for each. An error before the first byte is best answered with
`error_response(error)`, a status and a JSON body; one inside the stream goes to `close()`. To keep a connection busy,
send `PING` (only after `start()`).

`/v1/messages/count_tokens` is not offered: only the server's tokenizer could answer it. Tools that run on Anthropic's
servers, or whose definition only its models know, are left out of the request with a remark. Fields that the API does
not have are passed on to the server (`min_p`, `chat_template_kwargs`), those that it has and the chat API has not are
dropped.
"""

from __future__ import annotations

from ..adapter.errors import BadRequestError
from ..adapter.history import ChatRequest
from ..adapter.sse import encode
from .answer import PING, error_response
from .request import to_chat
from .stream import MessagesStream
from .whole import from_completion, message_to_anthropic

__all__ = [
    "PING",
    "BadRequestError",
    "ChatRequest",
    "MessagesStream",
    "encode",
    "error_response",
    "from_completion",
    "message_to_anthropic",
    "to_chat",
]

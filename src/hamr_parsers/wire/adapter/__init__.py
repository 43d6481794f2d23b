"""What the adapters of the Responses API (`wire.responses`) and of the Messages API (`wire.anthropic`) share.

Theory. Both APIs tell a message as a sequence of closed things (items, blocks) where the chat API tells it as deltas
of one. `pieces` reads chat chunks, `blocks` makes the strict sequence of them, and each adapter only names its steps
in the words of its API. The other way round, `history` writes the messages of a chat request, and the adapters only
take apart what their API says. Nothing here reads or writes a socket.
"""

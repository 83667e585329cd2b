"""picows on uvloop: listener callbacks, no task per connection."""

# ruff: noqa: D102 - hooks, documented where they are inherited from

from __future__ import annotations

import uvloop
from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)
from serving import BACKLOG, HOST, MAX_MESSAGE, arguments, listening

JOB = arguments()
MEMBERS: set[WSTransport] = set()


class Echo(WSListener):
    """Sends back what comes."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif frame.msg_type is WSMsgType.TEXT:
            # A text handler reads text, so the decoding belongs to the work.
            text = frame.get_payload_as_utf8_text()
            transport.send(WSMsgType.TEXT, text.encode())
        elif frame.msg_type is WSMsgType.BINARY:
            transport.send(WSMsgType.BINARY, frame.get_payload_as_bytes())


class Broadcast(WSListener):
    """Sends what comes to all."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        MEMBERS.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        MEMBERS.discard(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif frame.msg_type is WSMsgType.BINARY:
            payload = frame.get_payload_as_bytes()
            for member in MEMBERS:
                member.send(WSMsgType.BINARY, payload)


def listener(_request: WSUpgradeRequest) -> WSListener:
    return Broadcast() if JOB.broadcast else Echo()


async def main() -> None:
    server = await ws_create_server(
        listener, HOST, 0, max_frame_size=MAX_MESSAGE, backlog=BACKLOG
    )
    listening(server.sockets[0].getsockname()[1])
    await server.serve_forever()


uvloop.run(main())

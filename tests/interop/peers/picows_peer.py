"""The peer of `picows`: frames and callbacks, messages are put together here."""

import asyncio
import sys

import common
from picows import WSListener, WSMsgType, ws_connect, ws_create_server

MOST = 64 * 2**20


class Echo(WSListener):
    def __init__(self):
        self.kind = None
        self.parts = []
        self.pongs = None
        self.result = (1006, "")

    def on_ws_frame(self, transport, frame):
        kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            code, reason = frame.get_close_code(), frame.get_close_message()
            self.result = (code, (reason or b"").decode())
            if not transport.is_close_frame_sent:
                transport.send_close(code)
            transport.disconnect()
        elif kind == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind == WSMsgType.PONG:
            self.on_pong(transport)
        else:
            self.parts.append(frame.get_payload_as_bytes())
            if kind != WSMsgType.CONTINUATION:
                self.kind = kind
            if frame.fin:
                message, self.parts = b"".join(self.parts), []
                self.on_message(transport, message)

    def on_message(self, transport, message):
        if message == common.CLOSE.encode():
            transport.send_close(common.CODE, common.REASON.encode())
        elif message == common.FRAGMENTS.encode():
            self.send_fragments(transport)
        else:
            transport.send(self.kind, message)

    def send_fragments(self, transport):
        kind = WSMsgType.TEXT
        self.pongs = len(common.PIECES) - 1
        for piece in common.PIECES[:-1]:
            transport.send(kind, piece.encode(), fin=False)
            transport.send_ping(b"picows")
            kind = WSMsgType.CONTINUATION
        transport.send(kind, common.PIECES[-1].encode())

    def on_pong(self, transport):
        self.pongs -= 1
        if self.pongs == 0:
            transport.send(WSMsgType.TEXT, common.PONGED.encode())

    def on_ws_disconnected(self, transport):
        common.ended(*self.result)


async def main():
    if sys.argv[1] == "serve":
        server = await ws_create_server(
            lambda _: Echo(), "127.0.0.1", 0, max_frame_size=MOST
        )
        common.say(server.sockets[0].getsockname()[1])
        await server.serve_forever()
    for port in common.ports():
        transport, _ = await ws_connect(
            Echo, f"ws://127.0.0.1:{port}/", max_frame_size=MOST
        )
        await transport.wait_disconnected()


asyncio.run(main())

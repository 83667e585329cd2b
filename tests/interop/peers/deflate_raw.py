"""A compressing peer of our own: a socket, zlib, and the frames of `tests.wire`.

Shares nothing with the package, so that both cannot err alike. It compresses in one
of the styles of `deflate_styles`, and is strict with what it receives. In the end it
says which extension was agreed on, and how many messages came compressed.
"""

import base64
import os
import random
import socket

import deflate_common as common
import deflate_styles as styles

from tests.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PONG,
    RSV1,
    TEXT,
    Frame,
    FrameReader,
    accept_value,
    field,
    fragments,
    ping,
    upgrade_request,
    upgrade_response,
)

EXTENSIONS = "Sec-WebSocket-Extensions"


class Connection:
    """A connection whose handshake is to be done by `accept` or `ask`."""

    def __init__(self, sock, server):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.server = server
        self.frames = FrameReader(masked=server, rsv=RSV1)
        self.agreed = {}

    def _receive(self):
        data = self.sock.recv(65536)
        assert data, "the stream ended"
        self.frames.feed(data)

    def _read_head(self):
        while (end := self.frames.buffer.find(b"\r\n\r\n")) < 0:
            self._receive()
        head = bytes(self.frames.buffer[: end + 4])
        del self.frames.buffer[: end + 4]
        return head

    def accept(self, answer):
        """Shake hands as a server: answer this, whatever was offered."""
        head = self._read_head()
        assert "permessage-deflate" in field(head, EXTENSIONS)
        accept = accept_value(field(head, "Sec-WebSocket-Key"))
        self.sock.sendall(upgrade_response(f"{EXTENSIONS}: {answer}", accept=accept))
        self.agreed = styles.read_parameters(answer)

    def ask(self, offer):
        """Shake hands as a client: offer this."""
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(
            upgrade_request(
                f"{EXTENSIONS}: {offer}",
                f"Sec-WebSocket-Key: {key}",
                without=("Sec-WebSocket-Key",),
            )
        )
        head = self._read_head()
        assert head.startswith(b"HTTP/1.1 101 "), head
        assert field(head, "Sec-WebSocket-Accept") == accept_value(key), head
        answer = field(head, EXTENSIONS)
        assert answer.startswith("permessage-deflate"), answer
        self.agreed = styles.read_parameters(answer)

    def read(self):
        """Return the next frame."""
        while (frame := self.frames.next_frame()) is None:
            self._receive()
        return frame

    def read_end(self):
        """Check that nothing comes before the end of the stream."""
        assert not self.frames.buffer, "something behind the Close"
        assert self.sock.recv(1) == b"", "something behind the Close"

    def write(self, *frames):
        """Write frames, each with a key of its own."""
        for frame in frames:
            self.sock.sendall(frame.encode(None if self.server else os.urandom(4)))

    def read_message(self):
        """Return opcode, payload and whether it is compressed; None after a Close."""
        frames = []
        while not frames or not frames[-1].fin:
            frame = self.read()
            if frame.opcode == CLOSE:
                return None, frame.payload, False
            if frame.opcode != PONG:
                assert frame.opcode in (TEXT, BINARY, CONTINUATION), frame
                frames.append(frame)
        payload = b"".join(frame.payload for frame in frames)
        return frames[0].opcode, payload, frames[0].rsv1

    def write_message(self, number, opcode, payload, compressed):
        """Write a message, some of them in fragments cut anywhere, even in nothing."""
        chance = random.Random(number)
        cuts = []
        if number % 3 == 1:
            cuts = sorted(chance.randrange(len(payload) + 1) for _ in range(4))
            cuts[1] = cuts[0]
        parts = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]
        *first, last = fragments(opcode, parts, RSV1 * compressed)
        for frame in first:
            self.write(frame, ping(b"between"))
        self.write(last)


def echo(connection, style):
    deflater, inflater = styles.make(style, connection.agreed, connection.server)
    number = compressed = plain = 0
    while True:
        opcode, payload, packed = connection.read_message()
        if opcode is None:
            code = int.from_bytes(payload[:2], "big")
            connection.write(Frame(CLOSE, payload[:2]))
            break
        if packed:
            compressed += 1
            payload = inflater(payload)
        else:
            plain += 1
        if opcode == TEXT:
            payload.decode()
        pack = bool(payload) and not common.goes_plain(number)
        if pack:
            payload = deflater(payload)
        connection.write_message(number, opcode, payload, pack)
        number += 1
    connection.sock.shutdown(socket.SHUT_WR)
    connection.read_end()
    common.say(
        code=code,
        agreed=connection.agreed,
        compressed=compressed,
        plain=plain,
    )


def follow(order):
    style = order["style"]
    if order.get("serve"):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            common.say(port=listener.getsockname()[1])
            sock, _ = listener.accept()
    else:
        sock = socket.create_connection(("127.0.0.1", order["dial"]))
    with sock:
        connection = Connection(sock, server=bool(order.get("serve")))
        if connection.server:
            connection.accept(order["extension"])
        else:
            connection.ask(order["extension"])
        echo(connection, style)


for order in common.orders():
    follow(order)

"""A compressing peer of our own: sockets, zlib, and RFC 6455 and 7692 once more.

Shares nothing with the package, so that both cannot err alike. It compresses in one
of the styles of `deflate_styles`, and is strict with what it receives. In the end it
says which extension was agreed on, and how many messages came compressed.
"""

import base64
import hashlib
import os
import random
import re
import socket

import deflate_common as common
import deflate_styles as styles

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, CLOSE, PING, PONG = 0, 1, 8, 9, 10
RSV1, FIN = 0x40, 0x80


class Connection:
    """A connection whose handshake is to be done by `accept` or `ask`."""

    def __init__(self, sock, server):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.file = sock.makefile("rb")
        self.server = server
        self.head = b""
        self.agreed = {}

    def _read_head(self):
        self.head = b""
        while not self.head.endswith(b"\r\n\r\n"):
            line = self.file.readline()
            assert line, self.head
            self.head += line

    def _field(self, name):
        found = re.search(rb"(?im)^%s: *(.*?) *\r$" % name, self.head)
        assert found, self.head
        return found[1]

    def accept(self, answer):
        """Shake hands as a server: answer this, whatever was offered."""
        self._read_head()
        assert b"permessage-deflate" in self._field(b"Sec-WebSocket-Extensions")
        digest = hashlib.sha1(self._field(b"Sec-WebSocket-Key") + GUID).digest()
        self.sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Extensions: %s\r\n"
            b"Sec-WebSocket-Accept: %s\r\n\r\n"
            % (answer.encode(), base64.b64encode(digest))
        )
        self.agreed = styles.read_parameters(answer)

    def ask(self, offer):
        """Shake hands as a client: offer this."""
        self.sock.sendall(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Extensions: %s\r\n\r\n"
            % (base64.b64encode(os.urandom(16)), offer.encode())
        )
        self._read_head()
        assert self.head.startswith(b"HTTP/1.1 101 "), self.head
        answer = self._field(b"Sec-WebSocket-Extensions").decode()
        assert answer.startswith("permessage-deflate"), answer
        self.agreed = styles.read_parameters(answer)

    def read(self):
        """Return the first byte of the next frame, and its payload."""
        first, second = self.file.read(2)
        assert first & 0x30 == 0, "RSV2 or RSV3 is set"
        assert first & 8 == 0 or first & RSV1 == 0, "a control frame is compressed"
        assert (second >= 128) is self.server, "masked by a server, or not by a client"
        size = second & 127
        if size > 125:
            size = int.from_bytes(self.file.read(2 if size == 126 else 8), "big")
        key = self.file.read(4) if self.server else b""
        payload = self.file.read(size)
        assert len(payload) == size
        return first, mask(payload, key) if self.server else payload

    def write(self, first, payload=b""):
        """Write a frame."""
        size = len(payload)
        bit = 0 if self.server else 128
        if size < 126:
            head = bytes([first, bit | size])
        elif size < 65536:
            head = bytes([first, bit | 126]) + size.to_bytes(2, "big")
        else:
            head = bytes([first, bit | 127]) + size.to_bytes(8, "big")
        if bit:
            key = os.urandom(4)
            head, payload = head + key, mask(payload, key)
        self.sock.sendall(head + payload)

    def read_message(self):
        """Return opcode, payload and whether it is compressed; None after a Close."""
        opcode, compressed, parts = None, False, []
        while True:
            first, payload = self.read()
            kind = first & 15
            if kind == CLOSE:
                return None, payload, False
            if kind == PONG:
                continue
            assert (kind == CONTINUATION) is (opcode is not None), "fragments are mixed"
            if opcode is None:
                opcode, compressed = kind, bool(first & RSV1)
            else:
                # RFC 7692 6.1: only the first fragment has the bit
                assert not first & RSV1, "RSV1 in a continuation"
            parts.append(payload)
            if first & FIN:
                return opcode, b"".join(parts), compressed

    def write_message(self, number, opcode, payload, compressed):
        """Write a message, some of them in fragments cut anywhere, even in nothing."""
        chance = random.Random(number)
        cuts = []
        if number % 3 == 1:
            cuts = sorted(chance.randrange(len(payload) + 1) for _ in range(4))
            cuts[1] = cuts[0]
        opcode |= RSV1 * compressed
        start = 0
        for cut in cuts:
            self.write(opcode, payload[start:cut])
            self.write(PING | FIN, b"between")
            opcode, start = CONTINUATION, cut
        self.write(opcode | FIN, payload[start:])


def mask(payload, key):
    size = len(payload)
    stream = (key * (size // 4 + 1))[:size]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")
    return mixed.to_bytes(size, "big")


def echo(connection, style):
    deflater, inflater = styles.make(style, connection.agreed, connection.server)
    number = compressed = plain = 0
    while True:
        opcode, payload, packed = connection.read_message()
        if opcode is None:
            connection.write(CLOSE | FIN, payload[:2])
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
    assert connection.file.read() == b"", "something behind the Close"
    common.say(
        code=int.from_bytes(payload[:2], "big"),
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

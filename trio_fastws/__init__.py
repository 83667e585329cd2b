"""WebSockets for trio: fast, frugal, and safe to cancel.

Serve with `serve_websocket`, dial with `open_websocket`; both give a
`WebSocket`, a trio channel of ``str`` and ``bytes``. See the documentation for
the rest; this is the whole public face.
"""

from ._build import COMPILED as COMPILED  # isort: skip - it chooses the build
from trio_fastws._client.client import open_websocket as open_websocket
from trio_fastws._config.listen import Listen as Listen
from trio_fastws._config.options import (
    Limits as Limits,
    PerMessageDeflate as PerMessageDeflate,
    Sending as Sending,
    Timeouts as Timeouts,
)
from trio_fastws._connection.handler import EventHandler as EventHandler
from trio_fastws._connection.pieces import (
    IncomingMessage as IncomingMessage,
    OutgoingMessage as OutgoingMessage,
)
from trio_fastws._connection.statistics import (
    ServerStatistics as ServerStatistics,
    Statistics as Statistics,
)
from trio_fastws._connection.websocket import WebSocket as WebSocket
from trio_fastws._protocol.codes import (
    CloseCode as CloseCode,
    CloseFrame as CloseFrame,
)
from trio_fastws._protocol.deflate.negotiation import (
    DeflateParameters as DeflateParameters,
)
from trio_fastws._protocol.errors import HandshakeError as HandshakeError
from trio_fastws._protocol.handshake.headers import Headers as Headers
from trio_fastws._protocol.handshake.request import Request as Request
from trio_fastws._protocol.handshake.response import Response as Response
from trio_fastws._protocol.handshake.url import InvalidURL as InvalidURL
from trio_fastws._protocol.prepared import PreparedMessage as PreparedMessage
from trio_fastws._server.on_request import Accept as Accept
from trio_fastws._server.serve import serve_websocket as serve_websocket
from trio_fastws._server.server import Server as Server
from trio_fastws._server.upgrade import upgrade as upgrade

from ._exceptions import (
    ConnectionBroken as ConnectionBroken,
    HandshakeRefused as HandshakeRefused,
)
from ._version import __version__ as __version__

# A traceback names an exception as one catches it.
for _error in (ConnectionBroken, HandshakeError, HandshakeRefused, InvalidURL):
    _error.__module__ = __name__
del _error

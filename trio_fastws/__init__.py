"""WebSockets for trio: fast, frugal, and safe to cancel.

Serve with `serve_websocket`, dial with `open_websocket`; both give a
`WebSocket`, a trio channel of ``str`` and ``bytes``. See the documentation for
the rest; this is the whole public face.
"""

from . import _pure as _pure  # isort: skip - before any module that may be compiled
from ._client import open_websocket as open_websocket
from ._exceptions import (
    ConnectionBroken as ConnectionBroken,
    HandshakeRefused as HandshakeRefused,
)
from ._handler import EventHandler as EventHandler
from ._options import (
    Limits as Limits,
    PerMessageDeflate as PerMessageDeflate,
    Sending as Sending,
    Timeouts as Timeouts,
)
from ._protocol.codes import CloseCode as CloseCode
from ._protocol.extension import DeflateParameters as DeflateParameters
from ._protocol.handshake import (
    HandshakeError as HandshakeError,
    Headers as Headers,
    InvalidURL as InvalidURL,
    Request as Request,
    Response as Response,
)
from ._protocol.prepared import PreparedMessage as PreparedMessage
from ._pure import COMPILED as COMPILED
from ._serve import serve_websocket as serve_websocket
from ._server import Server as Server
from ._statistics import (
    ServerStatistics as ServerStatistics,
    Statistics as Statistics,
)
from ._streams import (
    IncomingMessage as IncomingMessage,
    OutgoingMessage as OutgoingMessage,
)
from ._upgrade import upgrade as upgrade
from ._version import __version__ as __version__
from ._websocket import WebSocket as WebSocket

# A traceback names an exception as one catches it.
for _error in (ConnectionBroken, HandshakeError, HandshakeRefused, InvalidURL):
    _error.__module__ = __name__
del _error

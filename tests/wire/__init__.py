"""A WebSocket peer made by hand: what it writes and reads is bytes, judged one by one.

Knows RFC 6455 and 7692 a second time, on purpose, and nothing of the library under
test: both would have to err alike for a mistake to go unseen.

- `frames`, `deflate`, `messages`, `http`: bytes in, values out, and back. No I/O.
- `peer`: one end of a connection over any of trio's streams; `streams` makes these.
"""

from tests.wire.deflate import (
    FULL as FULL,
    STYLES as STYLES,
    TAIL as TAIL,
    Deflater as Deflater,
    Inflater as Inflater,
    Way as Way,
    stored as stored,
)
from tests.wire.frames import (
    BINARY as BINARY,
    CLOSE as CLOSE,
    CONTINUATION as CONTINUATION,
    MASKING_KEY as MASKING_KEY,
    PING as PING,
    PONG as PONG,
    RSV1 as RSV1,
    TEXT as TEXT,
    Frame as Frame,
    FrameReader as FrameReader,
    TornError as TornError,
    WireError as WireError,
    binary as binary,
    close as close,
    continuation as continuation,
    fragments as fragments,
    masked as masked,
    parse as parse,
    ping as ping,
    pong as pong,
    split as split,
    text as text,
    three_ways as three_ways,
    unmasked as unmasked,
    xor as xor,
)
from tests.wire.http import (
    HEADERS as HEADERS,
    WEBSOCKET_ACCEPT as WEBSOCKET_ACCEPT,
    WEBSOCKET_KEY as WEBSOCKET_KEY,
    accept_value as accept_value,
    field as field,
    plain_request as plain_request,
    upgrade_request as upgrade_request,
    upgrade_response as upgrade_response,
)
from tests.wire.messages import Message as Message, MessageReader as MessageReader
from tests.wire.peer import (
    Peer as Peer,
    accept as accept,
    dial as dial,
    dial_unix as dial_unix,
)
from tests.wire.streams import (
    MemoryListener as MemoryListener,
    Writes as Writes,
    is_open as is_open,
    open_tcp as open_tcp,
    port_of as port_of,
    read_now as read_now,
    reset as reset,
    socket_pair as socket_pair,
    tcp_listener as tcp_listener,
)

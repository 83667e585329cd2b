"""The type of `WebSocket.session`, for type checkers.

``WebSocket`` alone has a session of any type; ``WebSocket[User]`` has a ``User``, and
`serve_websocket` checks that ``on_request`` gives what the handler takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # PEP 696, which Python 3.13 has. Type checkers know this package without it.
    from typing_extensions import TypeVar

    SessionT = TypeVar("SessionT", default=Any)
else:
    from typing import TypeVar

    SessionT = TypeVar("SessionT")

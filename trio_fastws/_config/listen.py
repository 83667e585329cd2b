"""Where a server listens: a port, a Unix socket, or listeners that exist already."""

from __future__ import annotations

import os
import sys
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, cast

import trio

from .checks import check_bool, check_range, make_tuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# What fits into `sun_path` with the zero byte behind it: unix(7). 104 elsewhere.
LONGEST_PATH = 107 if sys.platform == "linux" else 103
# Many systems keep the backlog in 16 bits, and do not say so.
_MOST_BACKLOG = 0xFFFF
# What the others go with.
_PLACES = {
    "host": ("port",),
    "unix_mode": ("unix",),
    "backlog": ("port", "unix"),
    "reuse_port": ("port",),
}


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a server listens; given to `serve_websocket` in place of the port.

    Exactly one of ``port``, ``unix`` and ``listeners`` is given.

    Attributes:
        port: TCP port, 0 for any that is free: the same for IPv4 and IPv6.
        host: Address or name to bind the port to; None for all interfaces.
        unix: Path of a Unix socket. A socket file there is replaced if nobody
            listens behind it, such as one of a server that was killed; of servers that
            start at once one gets it. The file is removed at the end, unless another
            has taken its place.
        unix_mode: Permissions of that file, such as ``0o660``, which are set before
            anybody can connect; connecting takes the right to write. None: what the
            umask leaves of ``0o777``.
        backlog: Most connections that the kernel keeps until they are accepted, 1 to
            65,535; it may take fewer (``net.core.somaxconn``). None: as many as it
            takes.
        reuse_port: Share the port with other servers of the same user that do so too
            (SO_REUSEPORT); the kernel spreads new connections over them.
        listeners: Serve these: any `trio.abc.Listener`. Closed at the end.

    Raises:
        TypeError: There is not exactly one place to listen, an argument does not go
            with it, or is of another type.
        ValueError: An argument is out of its range, which the message names.
    """

    port: int | None = None
    _: KW_ONLY
    host: str | bytes | None = None
    unix: str | bytes | os.PathLike[str] | os.PathLike[bytes] | None = None
    unix_mode: int | None = None
    backlog: int | None = None
    reuse_port: bool = False
    listeners: Sequence[trio.abc.Listener[Any]] | None = None

    def __post_init__(self) -> None:
        check_bool("reuse_port", self.reuse_port)
        self._check_place()
        if isinstance(self.port, str | bytes | os.PathLike):
            raise TypeError(
                f"port must be an int, not {self.port!r}; "
                "a path goes by unix=, a host by host="
            )
        if self.port is not None:
            check_range("port", self.port, 0, 65535)
        _check_host(self.host)
        # The class is frozen; what was given is held as what it means.
        if self.unix is not None:
            object.__setattr__(self, "unix", _check_path(self.unix))
        if self.listeners is not None:
            object.__setattr__(self, "listeners", _check_listeners(self.listeners))
        _check_mode(self.unix_mode)
        if self.backlog is not None:
            check_range("backlog", self.backlog, 1, _MOST_BACKLOG)

    def _check_place(self) -> None:
        places = ("port", "unix", "listeners")
        given = [name for name in places if getattr(self, name) is not None]
        if len(given) != 1:
            raise TypeError(
                "give one of port, unix and listeners, "
                f"not {' and '.join(given) or 'none'}"
            )
        for name, goes_with in _PLACES.items():
            value = getattr(self, name)
            if value is None or value is False or given[0] in goes_with:
                continue
            raise TypeError(
                f"{name} goes with {' or '.join(goes_with)}, not with {given[0]}"
            )


def find_place(port: object, host: str | bytes | None) -> Listen:
    """Return where to listen, of which a port is the short form.

    Raises:
        TypeError: One is of another type, or there is a host beside a `Listen`.
        ValueError: The port is out of its range.
    """
    if isinstance(port, Listen):
        if host is not None:
            raise TypeError(
                f"host goes into the Listen, as in Listen(8765, host={host!r})"
            )
        return port
    if isinstance(port, bool) or not isinstance(port, int):
        hint = ""
        if isinstance(port, str | bytes):
            hint = "; a host goes by keyword (trio-websocket's order is another)"
        raise TypeError(f"port must be an int or a Listen, not {port!r}{hint}")
    return Listen(port, host=host)


def _check_host(host: object) -> None:
    if host is not None and not isinstance(host, str | bytes):
        raise TypeError(f"host must be a str or bytes, not {host!r}")


def _check_path(given: Any) -> str | bytes:
    try:
        path = cast("str | bytes", os.fspath(given))
    except TypeError:
        raise TypeError(f"unix must be a path, not {given!r}") from None
    encoded = os.fsencode(path)
    if not encoded or b"\0" in encoded:
        raise ValueError(f"unix is {path!r}, which is no path of a file")
    if len(encoded) > LONGEST_PATH:
        raise ValueError(
            f"unix is {path!r}, {len(encoded)} bytes; "
            f"a path of a socket has at most {LONGEST_PATH} (sun_path)"
        )
    return path


def _check_mode(mode: object) -> None:
    if mode is None:
        return
    if isinstance(mode, bool) or not isinstance(mode, int):
        raise TypeError(f"unix_mode must be an int, not {mode!r}")
    if not 0 <= mode <= 0o777:
        # 660 is not 0o660: so both ways to write it.
        raise ValueError(f"unix_mode is {mode} ({oct(mode)}); it must be 0 to 0o777")


def _check_listeners(listeners: Iterable[Any]) -> tuple[trio.abc.Listener[Any], ...]:
    listeners = make_tuple("listeners", listeners, "listeners")
    for listener in listeners:
        if not isinstance(listener, trio.abc.Listener):
            raise TypeError(f"listeners holds {listener!r}, which is not a Listener")
    if not listeners:
        raise ValueError("listeners is empty")
    return listeners

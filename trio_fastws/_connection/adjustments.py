"""How a WebSocket receives and sends: what can be changed while it is open.

Nothing here waits, and nothing is sent or taken.
"""

from __future__ import annotations

from trio_fastws._config.options import SMALLEST_UNSENT

from . import steps
from .attributes import Attributes
from .inbox import BY_USER


class Adjustments(Attributes):
    """What of a `WebSocket` can be adjusted."""

    __slots__ = ()

    def receive_text_as_bytes(self) -> None:
        """Receive text as ``bytes``, from now on. Not a checkpoint.

        For JSON libraries, which decode it themselves. It is checked as before (close
        code 1007 if it is not UTF-8), but no ``str`` is made of it. True of every way
        to receive it, `EventHandler.on_message` too, and of what is here already and
        not received. Pieces of `receive_stream` may be cut in the middle of a
        character. Text and binary messages then look alike. There is no way back.

        Raises:
            RuntimeError: This is another thread than that of the trio run.
        """
        steps.receive_text_as_bytes(self)

    def pause_reading(self) -> None:
        """Stop reading from the peer until `resume_reading`. Not a checkpoint."""
        self._shared.dispatcher.contexts.check_thread()
        self._pause(BY_USER)

    def resume_reading(self) -> None:
        """Read from the peer again. Not a checkpoint."""
        self._shared.dispatcher.contexts.check_thread()
        if self._paused & BY_USER:
            self._resume(BY_USER)

    def limit_unsent(self, size: int) -> None:
        """Limit what the kernel holds of this connection and has not sent yet.

        So that what a slow peer sees is newer, at the cost of more and smaller
        writes; `Sending.unsent_limit` does it for all connections. What is under
        way, and what waits to be read in the peer's own kernel, does not count. Not
        a checkpoint. Without effect where there is no TCP socket below.

        Args:
            size: Bytes, 1,024 or more (TCP_NOTSENT_LOWAT).

        Raises:
            ValueError: It is less.
            RuntimeError: This is another thread than that of the trio run.
        """
        self._shared.dispatcher.contexts.check_thread()
        if size < SMALLEST_UNSENT:
            raise ValueError(f"size is {size}; it must be {SMALLEST_UNSENT} or more")
        if self._link is not None:
            self._link.limit_unsent(size)

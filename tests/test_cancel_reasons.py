"""A `Cancelled` that comes from here says why, where trio has words for that (0.31)."""

from __future__ import annotations

from inspect import signature

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.serving import running
from tests.wire import Peer, close, dial, text, upgrade_request
from trio_fastws import EventHandler, Limits, Sending, Timeouts, WebSocket
from trio_fastws._transport import lifetimes

pytestmark = pytest.mark.usefixtures("transport")

TELLS = "reason" in signature(trio.CancelScope.cancel).parameters


class Witness:
    """What waits until it is cancelled, and notes why."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.began = trio.Event()
        self.ended = trio.Event()

    async def __call__(self, *_: object) -> None:
        try:
            self.began.set()
            await trio.sleep_forever()
        except trio.Cancelled as error:
            # Before 0.31 that it was cancelled is all that is known.
            self.reasons.append(error.reason if TELLS else "")
            raise
        finally:
            self.ended.set()

    def says(self, *reasons: str) -> bool:
        return self.reasons == (list(reasons) if TELLS else [""] * len(reasons))


async def dial_and_shake(port: int) -> Peer:
    peer = await dial(port)
    await peer.shake()
    return peer


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("close", "close code 4000, 'so long'"),
        ("fin", "close code 1006, 'the connection was lost without a Close frame'"),
    ],
)
async def test_on_disconnect_says_that_the_peer_is_gone(how, words) -> None:
    witness = Witness()
    sending = Sending(on_disconnect="cancel")
    async with (
        running(witness, sending=sending) as run,
        await dial_and_shake(run.server.port) as peer,
    ):
        if how == "close":
            await peer.send(close(4000, "so long"))
        else:
            await peer.send_eof()
        await witness.ended.wait()
    assert witness.says(f"the peer is gone (Sending.on_disconnect): {words}")


async def test_a_reset_while_reading_is_paused_is_one_too(transport) -> None:
    if transport == "pump":
        pytest.skip("a stream that nobody reads tells of no reset")
    witness = Witness()

    async def handler(ws: WebSocket) -> None:
        ws.pause_reading()
        await witness()

    sending = Sending(on_disconnect="cancel")
    async with running(handler, sending=sending) as run:
        peer = await dial_and_shake(run.server.port)
        await witness.began.wait()
        await peer.send(text("unread"))
        await wait_all_tasks_blocked()
        peer.reset()
        await witness.ended.wait()
    if TELLS:
        (reason,) = witness.reasons
        assert reason.startswith("the peer is gone (Sending.on_disconnect): ")


async def test_a_task_is_told_how_its_connection_ended() -> None:
    witness = Witness()

    class Hooks(EventHandler):
        def on_open(self, ws) -> None:
            ws.start_soon(witness)

    async with running(Hooks()) as run, await dial_and_shake(run.server.port) as peer:
        await witness.began.wait()
        await peer.finish(4000)
        await witness.ended.wait()
    assert witness.says("the connection is over: close code 4000")


@pytest.mark.parametrize("how", ["aclose", "cancel"])
async def test_at_the_end_of_a_server_it_has_that_reason(nursery, how) -> None:
    witness, task = Witness(), Witness()

    async def handler(ws: WebSocket) -> None:
        ws.start_soon(task)
        await witness()

    async with running(handler) as run, await dial_and_shake(run.server.port) as peer:
        await witness.began.wait()
        await task.began.wait()
        if how == "aclose":
            nursery.start_soon(run.server.aclose, 1012, "restarting")
        else:
            run.stop()
        await witness.ended.wait()
        await task.ended.wait()
        await peer.read_close()
    words = {
        "aclose": "the server ends: close code 1012, 'restarting'",
        "cancel": "the server ends: close code 1001, 'the server is shutting down'",
    }
    assert witness.says(words[how])
    assert task.says(words[how])


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("shutdown", "the server is shutting down"),
        ("gone", "the opening handshake has failed: connection lost"),
        ("room", "the opening handshake has failed: room for another"),
        ("late", "the opening handshake has failed: timeout"),
    ],
)
async def test_who_decides_is_told_why_that_is_not_wanted_any_more(
    memory, autojump_clock, what, reason
) -> None:
    witness = Witness()
    options = {
        "listeners": [memory],
        "on_request": witness,
        "limits": Limits(pending_handshakes=1),
        "timeouts": Timeouts(handshake=5),
    }
    async with running(Witness(), **options) as run, Peer(memory.connect()) as peer:
        await peer.send(upgrade_request())
        await witness.began.wait()
        if what == "shutdown":
            run.stop()
        elif what == "gone":
            await peer.aclose()
        elif what == "room":
            memory.connect()
        await witness.ended.wait()
        if what == "shutdown":
            await peer.aclose()
    if what == "late" and TELLS:
        # Either of two clocks may strike first: the task's own, or the handshake's.
        assert witness.reasons[0] in (None, "deadline", reason)
    else:
        assert witness.says(reason)


async def test_a_trio_that_has_no_words_for_it_cancels_all_the_same(
    monkeypatch,
) -> None:
    monkeypatch.setattr(lifetimes, "_TAKES_REASON", False)
    witness = Witness()
    sending = Sending(on_disconnect="cancel")
    async with (
        running(witness, sending=sending) as run,
        await dial_and_shake(run.server.port) as peer,
    ):
        await peer.finish()
        await witness.ended.wait()
    assert len(witness.reasons) == 1

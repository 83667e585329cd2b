"""KeyboardInterrupt: it may strike a user's task, never a hook."""

from trio.lowlevel import currently_ki_protected

from trio_fastws import EventHandler, open_websocket


class Witness(EventHandler):
    def __init__(self) -> None:
        self.protected: dict[str, bool] = {}

    def on_open(self, ws) -> None:
        self.protected["on_open"] = currently_ki_protected()

    def on_message(self, ws, message) -> None:
        self.protected["on_message"] = currently_ki_protected()
        ws.send_nowait(message)

    def on_close(self, ws) -> None:
        self.protected["on_close"] = currently_ki_protected()


async def test_hooks_are_protected(transport, serve) -> None:
    witness = Witness()
    server = await serve(witness)
    async with open_websocket(f"ws://127.0.0.1:{server.port}/") as ws:
        await ws.send("x")
        await ws.receive()
    assert witness.protected == {"on_open": True, "on_message": True, "on_close": True}


async def test_handlers_are_not(transport, serve) -> None:
    protected: list[bool] = []

    async def handler(ws) -> None:
        await ws.receive()
        protected.append(currently_ki_protected())
        await ws.send("y")

    server = await serve(handler)
    async with open_websocket(f"ws://127.0.0.1:{server.port}/") as ws:
        await ws.send("x")
        await ws.receive()
    assert protected == [False]

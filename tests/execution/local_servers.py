"""A healthy local server in a thread of its own, for programs that have several event loops or processes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..providers.dialects import Dialect, errand
from ..providers.wire_server import Answer, Received, WireServer, wire_server


@contextmanager
def served_by_a_thread(dialect: Dialect) -> Iterator[WireServer]:
    """It answers every prompt of this dialect well."""

    def answer(received: Received) -> Answer:
        if received.path != dialect.prompt_path:
            return errand(received)
        return dialect.streamed() if received.json.get("stream") else dialect.whole()

    begun, end = threading.Event(), threading.Event()
    found: list[WireServer] = []

    async def serve() -> None:
        async with wire_server(answer) as server:
            found.append(server)
            begun.set()
            await asyncio.to_thread(end.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    begun.wait()
    try:
        yield found[0]
    finally:
        end.set()
        thread.join()

"""One value for each event loop: made when a loop first asks, closed when the loop ends.

Connections, locks and futures of asyncio belong to the event loop they were made in. A program may have
several loops, one after the other (`asyncio.run` for each call) or side by side (one for each thread).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from engine.forks import after_fork, never_close

T = TypeVar("T")

_CLOSE_S = 1.0
"""How long another thread's loop is waited for while it closes its value, in seconds."""


@dataclass(slots=True, eq=False)
class _Entry(Generic[T]):
    """A loop's value, once it is made. `keeper` closes the value when it is closed itself."""

    making: asyncio.Lock = field(default_factory=asyncio.Lock)
    value: T | None = None
    keeper: AsyncGenerator[None, None] | None = None


class LoopLocal(Generic[T]):
    """Thread-safe. `make` is tried again at the next call when it failed; `close` runs in the value's own
    loop. The child of a fork starts without values and leaves its parent's alone."""

    def __init__(self, make: Callable[[], Awaitable[T]], close: Callable[[T], Awaitable[None]]) -> None:
        self._make, self._close = make, close
        self._lock = threading.Lock()
        self._entries: dict[asyncio.AbstractEventLoop, _Entry[T]] = {}
        after_fork(self, LoopLocal._begin_again)

    def here(self) -> T | None:
        """The running loop's value; None when it has none, or none any more."""
        entry = self._entries.get(asyncio.get_running_loop())
        return None if entry is None else entry.value

    async def opened(self) -> T:
        """The running loop's value, made now if it has none. Raises what `make` raises."""
        value = self.here()
        if value is not None:
            return value
        loop = asyncio.get_running_loop()
        entry = self._entry_of(loop)
        async with entry.making:
            if entry.value is None:
                entry.value = await self._make()
                entry.keeper = self._kept(loop, entry)
                # It is now one of the loop's asynchronous generators, which `asyncio.run` closes at its end.
                await anext(entry.keeper)
            return entry.value

    async def aclose(self) -> None:
        """Close every loop's value."""
        here = asyncio.get_running_loop()
        for loop, entry in tuple(self._entries.items()):
            if entry.keeper is None:
                continue
            if loop is here:
                await entry.keeper.aclose()
            elif loop.is_running():
                await self._close_elsewhere(loop, entry.keeper)
        self._forget_ended()

    def _entry_of(self, loop: asyncio.AbstractEventLoop) -> _Entry[T]:
        self._forget_ended()
        with self._lock:
            return self._entries.setdefault(loop, _Entry())

    def _forget_ended(self) -> None:
        """Drop what belonged to loops that ended without closing their generators; the sockets close with
        it."""
        with self._lock:
            self._entries = {loop: entry for loop, entry in self._entries.items() if not loop.is_closed()}

    async def _kept(self, loop: asyncio.AbstractEventLoop, entry: _Entry[T]) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            with self._lock:
                if self._entries.get(loop) is entry:
                    del self._entries[loop]
            if entry.value is not None:
                await self._close(entry.value)

    @staticmethod
    async def _close_elsewhere(loop: asyncio.AbstractEventLoop, keeper: AsyncGenerator[None, None]) -> None:
        async def close() -> None:
            await keeper.aclose()

        closing = close()
        try:
            done = asyncio.run_coroutine_threadsafe(closing, loop)
        except RuntimeError:  # it has ended in this moment
            closing.close()
            return
        # It may end before it gets to this, or be busy: then its own end closes the value.
        await asyncio.wait((asyncio.wrap_future(done),), timeout=_CLOSE_S)

    def _begin_again(self) -> None:
        never_close(self._entries)
        self._lock = threading.Lock()
        self._entries = {}

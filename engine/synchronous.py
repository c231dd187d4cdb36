"""Asynchronous methods -> the same for code without an event loop: one loop, in one thread, for all calls.

One loop keeps its connections between calls, where `asyncio.run` for each call opens new ones.
"""

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from engine.forks import after_fork

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Running:
    """A loop that runs in `thread` until `end` is set, in the loop."""

    thread: threading.Thread
    loop: asyncio.AbstractEventLoop
    end: asyncio.Event

    def stop(self) -> None:
        with suppress(RuntimeError):  # it has ended
            self.loop.call_soon_threadsafe(self.end.set)


class LoopThread:
    """An event loop in a daemon thread of its own, begun at the first call; it ends with this object.
    Thread-safe. The child of a fork begins its own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._running: _Running | None = None
        self._stop_with_self: weakref.finalize[..., LoopThread] | None = None
        self._begin_again()
        after_fork(self, LoopThread._begin_again)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for `work`, done in the loop; a caller that is interrupted cancels it.

        Raises what it raises, and RuntimeError when called from the loop itself.
        """
        with self._lock:
            running = self._running or self._begun()
            if running.thread is threading.current_thread():
                work.close()
                raise RuntimeError("this would wait for itself: await the asynchronous method instead")
            done = asyncio.run_coroutine_threadsafe(work, running.loop)
        try:
            return done.result()
        except BaseException:
            done.cancel()
            raise

    def stop(self) -> None:
        """End the loop, and with it what is under way and its connections. The next call begins another."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            running.stop()
            running.thread.join()

    def _begun(self) -> _Running:
        begun: Future[_Running] = Future()
        threading.Thread(target=lambda: asyncio.run(_serve(begun)), name=self._name, daemon=True).start()
        self._running = begun.result()
        self._stop_with_self = weakref.finalize(self, self._running.stop)
        self._stop_with_self.atexit = False
        return self._running

    def _begin_again(self) -> None:
        if self._stop_with_self is not None:
            self._stop_with_self.detach()
        # May be asked for again while it is held: a generator that is dropped closes itself wherever memory
        # is collected.
        self._lock = threading.RLock()
        self._running = self._stop_with_self = None


async def _serve(begun: "Future[_Running]") -> None:
    running = _Running(threading.current_thread(), asyncio.get_running_loop(), asyncio.Event())
    begun.set_result(running)
    await running.end.wait()


class _HasLoopThread(Protocol):
    @property
    def loop_thread(self) -> LoopThread: ...


S = TypeVar("S", bound=_HasLoopThread)


def synchronous(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], T]:
    """The same method, which waits for its result. It raises the same."""

    @wraps(method)
    def waiting(self: S, /, *args: P.args, **named: P.kwargs) -> T:
        work = method(self, *args, **named)
        # This frame holds no prompt that a traceback with locals could show.
        del args, named
        return self.loop_thread.run(work)

    return waiting


def synchronous_stream(
    method: Callable[Concatenate[S, P], AsyncGenerator[T, None]],
) -> Callable[Concatenate[S, P], Iterator[T]]:
    """The same method as a plain generator: close it, or leave its loop and drop it, to give up."""

    @wraps(method)
    def pieces(self: S, /, *args: P.args, **named: P.kwargs) -> Iterator[T]:
        stream = method(self, *args, **named)
        del args, named
        return _each(self.loop_thread, stream)

    return pieces


def _each(thread: LoopThread, stream: AsyncGenerator[T, None]) -> Iterator[T]:
    try:
        while True:
            try:
                piece = thread.run(_next(stream))
            except StopAsyncIteration:
                return
            yield piece
    finally:
        thread.run(stream.aclose())


async def _next(stream: AsyncGenerator[T, None]) -> T:
    return await anext(stream)

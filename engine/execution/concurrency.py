"""How many calls are under way at each provider -> a turn for the next one, in line where the provider has a
limit."""

import asyncio
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass

from engine.forks import after_fork


@dataclass(slots=True, eq=False)
class _Waiter:
    turn: "asyncio.Future[None]"
    granted: bool = False


class Slots:
    """Counts calls by provider, over every thread and event loop. `changed` is called when the
    count of a provider with a limit moves."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._limited: set[str] = set()
        self._begin_again()
        after_fork(self, Slots._begin_again)

    def _begin_again(self) -> None:
        """Nobody has a turn: those under way in a parent process never end in its child."""
        self._lock = threading.Lock()
        self._taken: defaultdict[str, int] = defaultdict(int)
        self._waiting: defaultdict[str, deque[_Waiter]] = defaultdict(deque)

    def taken(self, provider: str) -> int:
        """Calls under way."""
        return self._taken[provider]

    async def take(self, provider: str, limit: int | None, within_s: float) -> bool:
        """Take a turn, waiting in line for at most `within_s` seconds; False when none came."""
        if limit is not None:
            self._limited.add(provider)
        with self._lock:
            if limit is None or (self._taken[provider] < limit and not self._waiting[provider]):
                self._taken[provider] += 1
                waiter = None
            else:
                waiter = _Waiter(asyncio.get_running_loop().create_future())
                self._waiting[provider].append(waiter)
        if waiter is None:
            if limit is not None:
                self._changed()
            return True
        try:
            async with asyncio.timeout(within_s):
                await waiter.turn
        except TimeoutError:
            return self._leave(provider, waiter)
        except BaseException:
            if self._leave(provider, waiter):
                self.give_back(provider)
            raise
        return True

    def give_back(self, provider: str) -> None:
        """End a turn; whoever waits longest has it now."""
        while (heir := self._heir(provider)) is not None:
            try:
                heir.turn.get_loop().call_soon_threadsafe(_wake, heir.turn)
                break
            except RuntimeError:
                continue  # its event loop has ended, and with it the one who waited
        if provider in self._limited:
            self._changed()

    def _heir(self, provider: str) -> _Waiter | None:
        """Whoever waits longest, taken from the line; the turn is over when nobody does."""
        with self._lock:
            waiting = self._waiting[provider]
            if not waiting:
                self._taken[provider] -= 1
                return None
            heir = waiting.popleft()
            heir.granted = True
            return heir

    def _leave(self, provider: str, waiter: _Waiter) -> bool:
        """Leave the line; True when the turn had come already and is the waiter's."""
        with self._lock:
            if not waiter.granted:
                self._waiting[provider].remove(waiter)
            return waiter.granted


def _wake(turn: "asyncio.Future[None]") -> None:
    if not turn.done():
        turn.set_result(None)

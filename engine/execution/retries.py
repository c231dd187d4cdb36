"""How often the whole process may repeat itself: one call in ten, and three more a second. So a provider in
trouble is never met with a multiple of its load (gRPC's retry throttling, Finagle's retry budget)."""

import threading
from collections.abc import Callable

from engine.forks import after_fork

SHARE = 0.1
A_SECOND = 3.0
MOST_SAVED = 10.0

SHORTEST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 4.0


class RetryBudget:
    """Thread-safe. `monotonic` gives seconds that never go back."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._begin_again()
        after_fork(self, RetryBudget._begin_again)
        self._earned = 0.0
        self._given = A_SECOND
        self._seen = monotonic()

    def _begin_again(self) -> None:
        self._lock = threading.Lock()

    def deposit(self) -> None:
        """A request has begun."""
        with self._lock:
            self._earned = min(MOST_SAVED, self._earned + SHARE)

    def withdraw(self) -> bool:
        """Take one repetition, if there is one."""
        with self._lock:
            now = self._monotonic()
            self._given = min(A_SECOND, self._given + (now - self._seen) * A_SECOND)
            self._seen = now
            if self._earned >= 1.0:
                self._earned -= 1.0
            elif self._given >= 1.0:
                self._given -= 1.0
            else:
                return False
            return True


def jittered_pause_s(pauses_before: int, chance: Callable[[], float]) -> float:
    """A pause with full jitter: anything from nothing to a bound that doubles from 0.25 s to 4 s."""
    return chance() * min(LONGEST_PAUSE_S, SHORTEST_PAUSE_S * 2.0**pauses_before)

"""Many threads -> one at a time, in the order they came.

A plain lock goes to whoever asks at the moment it is free, which under load is mostly the thread that has
just given it back; the others starve until their patience is over.
"""

import threading
from collections import deque


class Turns:
    """A lock that is handed to whoever asked first."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False

    def take(self, patience_ns: int | None = None) -> bool:
        """Wait for the turn; False when it has not come within `patience_ns` nanoseconds."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return True
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        try:
            timeout_s = -1 if patience_ns is None else seconds(patience_ns)
            return mine.acquire(timeout=timeout_s) or not self._left(mine)
        except BaseException:
            if not self._left(mine):
                self.give()
            raise

    def give(self) -> None:
        """End the turn; whoever waits longest has the next."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False

    def _left(self, mine: threading.Lock) -> bool:
        """Step out of the queue; False when the turn has come meanwhile."""
        with self._guard:
            if mine not in self._waiting:
                return False
            self._waiting.remove(mine)
            return True


def seconds(duration_ns: int) -> float:
    """For waiting, not money: the one float of this package."""
    return duration_ns / 1_000_000_000

"""Time that jumps instead of passing: no test waits for a limit to run out."""

from __future__ import annotations

import asyncio


class TimeJump:
    """Moves the running event loop's clock, which all limits of an attempt go by, forward on demand."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._real = self._loop.time
        self._ahead_s = 0.0
        self._loop.time = self._time  # type: ignore[method-assign]

    def _time(self) -> float:
        return self._real() + self._ahead_s

    def by(self, seconds: float) -> None:
        """Let so many seconds have passed."""
        self._ahead_s += seconds

    def soon(self, seconds: float) -> None:
        """Let so many seconds pass once whoever waits is waiting."""
        self._loop.call_soon(self.by, seconds)

"""The three readings of time the ledger needs, handed in by whoever owns the machine."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """A wall time in microseconds, and the uptime just before and just after it was read: a process may be
    stopped between two readings for any time."""

    now_us: int
    read_between_us: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Clock:
    """`wall_ns`: nanoseconds since 1970-01-01 UTC; may step.

    `uptime_ns`: nanoseconds of a clock that never steps and goes on while the machine sleeps. `boot_id`: one
    text per boot of this machine, "" when it has none.
    """

    wall_ns: Callable[[], int]
    uptime_ns: Callable[[], int]
    boot_id: str

    def wall_us(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        return self.wall_ns() // 1000

    def reading(self) -> "Reading":
        """Both clocks at once, as nearly as can be."""
        before_us = self.uptime_us()
        now_us = self.wall_us()
        return Reading(now_us, (before_us, self.uptime_us()))

    def uptime_us(self) -> int:
        """Microseconds of the clock that never steps."""
        return self.uptime_ns() // 1000

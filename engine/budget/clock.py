"""The three readings of time the ledger needs, handed in by whoever owns the machine."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """`wall_ns`: nanoseconds since 1970-01-01 UTC; may step. `uptime_ns`: nanoseconds of a clock that never steps
    and goes on while the machine sleeps. `boot_id`: one text per boot of this machine, "" when it has none.
    """

    wall_ns: Callable[[], int]
    uptime_ns: Callable[[], int]
    boot_id: str

    def wall_us(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        return self.wall_ns() // 1000

    def uptime_us(self) -> int:
        """Microseconds of the clock that never steps."""
        return self.uptime_ns() // 1000

"""Clocks for tests: one that is stepped by hand, one that runs fast and alike in many processes."""

import time
from dataclasses import dataclass

from engine.budget import Clock

NOON_2030_S = 1_894_708_800  # Tuesday 2030-01-15 12:00 UTC


class SteppedClock:
    """Stands still until it is told otherwise.

    `advance` is time going by; `step_wall` is somebody turning the clock.
    """

    def __init__(self, wall_s: int = NOON_2030_S, uptime_s: int = 1_000_000, boot_id: str = "boot-1") -> None:
        self.wall_us = wall_s * 1_000_000
        self.uptime_us = uptime_s * 1_000_000
        self.boot_id = boot_id

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.wall_us * 1000, lambda: self.uptime_us * 1000, self.boot_id)

    def advance(self, seconds: int) -> None:
        self.wall_us += seconds * 1_000_000
        self.uptime_us += seconds * 1_000_000

    def step_wall(self, seconds: int) -> None:
        self.wall_us += seconds * 1_000_000

    def reboot(self, boot_id: str, seconds_off: int = 60) -> None:
        self.boot_id = boot_id
        self.wall_us += seconds_off * 1_000_000
        self.uptime_us = 0


@dataclass(frozen=True)
class FastClock:
    """`speed` seconds go by in each real one, from 2030-01-15 noon on; the same in every process that holds a
    copy."""

    speed: int
    started_ns: int
    ahead_ns: int = 0

    @property
    def clock(self) -> Clock:
        return Clock(self._wall_ns, self._uptime_ns, "boot-of-the-soak")

    def _uptime_ns(self) -> int:
        return (time.monotonic_ns() - self.started_ns) * self.speed + self.ahead_ns

    def _wall_ns(self) -> int:
        return NOON_2030_S * 1_000_000_000 + self._uptime_ns()


def real_clock() -> Clock:
    """This machine's."""
    return Clock(time.time_ns, lambda: time.clock_gettime_ns(time.CLOCK_MONOTONIC), "this-boot")

"""What the router needs of the world beside providers and ledger: time, chance, sleep and names, all handed
in."""

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.budget import Clock


@dataclass(frozen=True, slots=True)
class Runtime:
    """`now` gives aware datetimes and may step, `monotonic` seconds that never go back; `chance` a number in
    [0, 1); `sleep` waits that many seconds; `new_id` gives a name nobody else has."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    chance: Callable[[], float]
    new_id: Callable[[], str]


def machine_runtime(now: Callable[[], datetime] | None) -> Runtime:
    """This machine's time, chance and sleep; `now` replaces its wall clock."""
    return Runtime(now or utc_now, time.monotonic, asyncio.sleep, random.random, lambda: uuid.uuid4().hex)


def utc_now() -> datetime:
    """The machine's wall clock."""
    return datetime.now(UTC)


def ledger_clock(now: Callable[[], datetime]) -> Clock:
    """This machine's clocks. A clock that was handed in is both: then no jump can be told from time going
    by."""
    if now is not utc_now:
        epoch, microsecond = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)

        def wall_ns() -> int:
            return (now() - epoch) // microsecond * 1000

        return Clock(wall_ns, wall_ns, "")
    # The clock that goes on while the machine sleeps, where there is one.
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    uptime_ns = time.monotonic_ns if boot is None else lambda: time.clock_gettime_ns(boot)
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        boot_id = ""
    return Clock(time.time_ns, uptime_ns, boot_id)

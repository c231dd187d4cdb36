"""What the router needs of the world beside providers and ledger: time, chance, sleep and names, all handed in."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Runtime:
    """`now` gives aware datetimes and may step, `monotonic` seconds that never go back; `chance` a number in [0, 1); `sleep`
    waits that many seconds; `new_id` gives a name nobody else has."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    chance: Callable[[], float]
    new_id: Callable[[], str]

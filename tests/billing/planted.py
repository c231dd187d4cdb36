"""Bugs planted in what is booked, each of which the schedules must see, every time.

To add one: a function that plants it in the running process, and its row in `BUGS`, with the manners of the
vendor that show it. A worker plants it right after its fork; the process that reads the ledger has none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Bug:
    """A bug, the manners that show it, and the daily limit under which they do."""

    plant: Callable[[], None]
    manners: tuple[str, ...]
    limit_usd: Decimal = Decimal(100)
    relaxed: bool = False


BUGS: dict[str, Bug] = {}

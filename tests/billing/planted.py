"""Bugs planted in what is booked, each of which the schedules must see."""

from collections.abc import Callable

BUGS: dict[str, Callable[[], None]] = {}


def plant(name: str) -> None:
    """Plant one bug in this process."""
    BUGS[name]()

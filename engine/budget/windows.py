"""An instant and a time zone -> the budget window it falls into.

A window begins at the first instant of a local calendar day or month. Boundaries alone define windows, so
they cover time without gap or overlap whatever a zone does: a midnight that does not exist is the instant the
clocks sprang over it, a midnight that comes twice is its first coming, and a day that was skipped is empty.
Instants are whole seconds since 1970-01-01 UTC.
"""

import datetime
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import assert_never
from zoneinfo import ZoneInfo

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_SECOND = datetime.timedelta(seconds=1)
_DAY = datetime.timedelta(days=1)


class Period(StrEnum):
    """How long a window lasts."""

    DAILY = "daily"
    MONTHLY = "monthly"


@dataclass(frozen=True, slots=True)
class Window:
    """The half-open interval [start_s, end_s) in seconds since the epoch, and the zone that drew it; `ALWAYS`
    has no period."""

    period: Period | None
    time_zone: str
    start_s: int
    end_s: int

    def resets_at(self) -> datetime.datetime:
        """When the next window begins, in local time with its offset."""
        return (_EPOCH + self.end_s * _SECOND).astimezone(ZoneInfo(self.time_zone))


ALWAYS = Window(None, "UTC", 0, 4_000_000_000)
"""The window of an account that never begins anew; it ends in the year 2096."""


@lru_cache(maxsize=512)
def window_at(period: Period | None, time_zone: str, at_s: int) -> Window:
    """The window that holds `at_s`. Raises ZoneInfoNotFoundError for a zone that does not exist."""
    if period is None:
        return ALWAYS
    zone = ZoneInfo(time_zone)
    first = _first_day(period, (_EPOCH + at_s * _SECOND).astimezone(zone).date())
    # Clocks that fall back over midnight show yesterday's date again inside today's window.
    while _start_of(first, zone) > at_s:
        first = _first_day(period, first - _DAY)
    following = _following(period, first)
    while _start_of(following, zone) <= at_s:
        first, following = following, _following(period, following)
    return Window(period, time_zone, _start_of(first, zone), _start_of(following, zone))


def _first_day(period: Period, day: datetime.date) -> datetime.date:
    match period:
        case Period.DAILY:
            return day
        case Period.MONTHLY:
            return day.replace(day=1)
        case _:
            assert_never(period)


def _following(period: Period, first: datetime.date) -> datetime.date:
    match period:
        case Period.DAILY:
            return first + _DAY
        case Period.MONTHLY:
            return (first + 31 * _DAY).replace(day=1)
        case _:
            assert_never(period)


@lru_cache(maxsize=512)
def _start_of(day: datetime.date, zone: ZoneInfo) -> int:
    midnight = datetime.datetime(day.year, day.month, day.day, tzinfo=zone)
    before = _seconds(midnight)
    after = _seconds(midnight.replace(fold=1))
    if after >= before:
        return before
    # Midnight lies in a gap: it would be `before` by the old offset and `after` by the new one. The clocks
    # changed somewhere in (after, before]; find the instant.
    new_offset = _local_offset(before, zone)
    low, high = after, before
    while high - low > 1:
        middle = (low + high) // 2
        if _local_offset(middle, zone) == new_offset:
            high = middle
        else:
            low = middle
    return high


def _seconds(moment: datetime.datetime) -> int:
    return (moment.astimezone(datetime.UTC) - _EPOCH) // _SECOND


def _local_offset(at_s: int, zone: ZoneInfo) -> datetime.timedelta | None:
    return (_EPOCH + at_s * _SECOND).astimezone(zone).utcoffset()

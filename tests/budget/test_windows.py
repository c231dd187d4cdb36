"""Windows cover time without gap or overlap, in every zone there is."""

import datetime
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest

from engine.budget.windows import Period, Window, window_at

_DAY_S = 24 * 3600


def _at(zone: str, *when: int, fold: int = 0) -> int:
    return int(datetime.datetime(*when, tzinfo=ZoneInfo(zone), fold=fold).timestamp())  # type: ignore[misc, arg-type]


def _partition(period: Period, zone: str, first_year: int, last_year: int) -> list[Window]:
    """Window after window, each found from the first second the one before does not hold."""
    at, end = _at("UTC", first_year, 1, 1), _at("UTC", last_year + 1, 1, 1)
    windows = []
    while at < end:
        window = window_at(period, zone, at)
        windows.append(window)
        at = window.end_s
    return windows


@lru_cache
def _distinct_zones() -> list[str]:
    """One zone of each set of zones that agree from 2000 to 2040, looked at every ten days."""
    start, step = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC), datetime.timedelta(days=10)
    moments = [start + n * step for n in range(41 * 37)]
    seen: dict[object, str] = {}
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        seen.setdefault(tuple(moment.astimezone(zone).utcoffset() for moment in moments), name)
    return sorted(seen.values())


@pytest.mark.parametrize("part", range(4))
def test_the_months_of_all_zones_have_no_gap_and_no_overlap(part: int) -> None:
    """Every IANA zone, 2000 to 2040: 492 months, each starting where the last one ended, each at its local
    first."""
    for zone in sorted(available_timezones())[part::4]:
        windows = _partition(Period.MONTHLY, zone, 2000, 2040)
        assert len(windows) in (492, 493, 494)  # the ends, and Apia changed its side of the date line
        for earlier, later in pairwise(windows):
            assert earlier.end_s == later.start_s
        for window in windows:
            assert window_at(Period.MONTHLY, zone, window.end_s - 1) == window


@pytest.mark.parametrize("part", range(4))
def test_the_days_of_all_zones_have_no_gap_and_no_overlap(part: int) -> None:
    """Every zone that differs from the others, each day from 2000 to 2040; a day starts at its first local
    second."""
    for name in _distinct_zones()[part::4]:
        zone = ZoneInfo(name)
        windows = _partition(Period.DAILY, name, 2000, 2040)
        for earlier, later in pairwise(windows):
            assert earlier.end_s == later.start_s
        for window in windows:
            length = window.end_s - window.start_s
            if length == _DAY_S:
                continue
            assert window_at(Period.DAILY, name, window.end_s - 1) == window
            before = datetime.datetime.fromtimestamp(window.start_s - 1, zone)
            start = datetime.datetime.fromtimestamp(window.start_s, zone)
            assert before.date() < start.date()


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", (2026, 3, 29), 23),
        ("Europe/Berlin", (2026, 10, 25), 25),
        ("America/Sao_Paulo", (2018, 11, 4), 23),  # midnight did not exist
        ("America/Havana", (2026, 11, 1), 25),
        ("America/St_Johns", (2010, 11, 7), 24),  # the clocks fell back from 0:01 to yesterday
        ("Pacific/Apia", (2011, 12, 29), 24),
        ("Asia/Tokyo", (2026, 2, 28), 24),
    ],
)
def test_a_day_lasts_as_long_as_its_clocks_say(zone: str, day: tuple[int, int, int], hours: int) -> None:
    """Changes of the clocks make days of 23 and 25 hours, with every second in exactly one of them."""
    window = window_at(Period.DAILY, zone, _at(zone, *day, 12))
    assert window.start_s <= _at(zone, *day, 12) < window.end_s
    if zone != "America/St_Johns":
        assert (window.end_s - window.start_s) // 3600 == hours


@pytest.mark.parametrize(
    ("zone", "eve", "after"),
    [("Pacific/Apia", (2011, 12, 29), (2011, 12, 31)), ("Pacific/Fakaofo", (2011, 12, 29), (2011, 12, 31))],
)
def test_a_skipped_day_is_empty(zone: str, eve: tuple[int, int, int], after: tuple[int, int, int]) -> None:
    """Samoa went to bed on the 29th and woke on the 31st: one window ends where the other begins."""
    assert (
        window_at(Period.DAILY, zone, _at(zone, *eve, 12)).end_s
        == window_at(Period.DAILY, zone, _at(zone, *after, 12)).start_s
    )


def test_months_end_at_local_midnight() -> None:
    """In +09:00 the month ends at 15:00 UTC of its last day (litellm #34896, #40978: late by the offset)."""
    window = window_at(Period.MONTHLY, "Asia/Tokyo", _at("UTC", 2026, 11, 30, 14, 59, 59))
    assert window.end_s == _at("UTC", 2026, 11, 30, 15)
    assert window.resets_at().isoformat() == "2026-12-01T00:00:00+09:00"


def test_the_second_midnight_of_a_night_opens_no_window() -> None:
    """Havana's clocks go from 1:00 to 0:00 again: the day began at the first midnight."""
    first = _at("America/Havana", 2026, 11, 1, 0, 0)
    second = _at("America/Havana", 2026, 11, 1, 0, 0, fold=1)
    assert second - first == 3600
    assert window_at(Period.DAILY, "America/Havana", second).start_s == first

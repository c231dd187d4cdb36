"""The rows of a chunk -> for every fact one small number a row, for its value or for the policy's partition
of it.

Python looks at each different value once; the dataframe library counts, cuts and joins the rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from math import ceil, floor
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.decision.facts import INDEX, Facts, InvalidFact, read_json, read_text
from engine.decision.partitions import Column, NumberColumn
from engine.language.checked_policy import FactValue
from engine.language.known_names import Names
from engine.language.vocabulary import FACTS, WEEKDAYS, Fact, Kind
from engine.replay.columns import FIELD_OF_LABELS, Columns
from engine.replay.errors import UnreadableLog
from engine.task_profiles import TaskProfile

Whole: TypeAlias = npt.NDArray[np.int64]
Numbers: TypeAlias = npt.NDArray[np.float64]

MOST_TOKENS = 10**8
MOST_LOOKED_UP = 1 << 20
MOST_MARKS = 30


@dataclass(frozen=True, slots=True)
class Encoded:
    """One fact of every row in one policy: `cells[codes[row]]`.

    `codes` is None when every row has the first cell.
    """

    codes: Whole | None
    cells: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Factor:
    """One fact of every row: `values[codes[row]]`, each value once; or, of a number, the number itself."""

    values: Sequence[FactValue]
    codes: Whole | None = None
    numbers: Whole | None = None


@dataclass(slots=True)
class Chunk:
    """Some rows of a log, in order, the first of which is row `first`."""

    first: int
    rows: int
    frame: pl.DataFrame
    columns: Columns
    start: datetime
    assumed: Facts
    given: Mapping[str, FactValue]
    names: Names
    _factors: dict[tuple[str, str], Factor] = field(default_factory=dict)
    _numbers: dict[str, Whole | None] = field(default_factory=dict)
    _times: Whole | None = None

    # -- plain columns

    def series(self, field: str) -> pl.Series | None:
        """The column of a field, or None when the log does not have it."""
        column = self.columns.by_field.get(field)
        return None if column is None else self.frame.get_column(column)

    def tokens(self, field: str) -> Whole | None:
        """A column of token counts; a missing count is 0."""
        if field not in self._numbers:
            series = self.series(field)
            self._numbers[field] = None if series is None else self._whole(field, series, MOST_TOKENS)
        return self._numbers[field]

    def scores(self, model: str) -> Numbers | None:
        """The score of a model in each row; NaN where it is unknown."""
        series = self.series(f"score.{model}")
        if series is None:
            return None
        try:
            return series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        except pl.exceptions.PolarsError:
            raise UnreadableLog(f"column {series.name!r} holds something that is no score") from None

    @property
    def times_us(self) -> Whole | None:
        """Microseconds since 1970 of every row, or None when the log has no time."""
        if self._times is None:
            series = self.series("time")
            if series is not None:
                self._times = _times_us(series, self.start)
        return self._times

    # -- facts

    def encoded(self, column: Column, zone: str) -> Encoded:
        """One fact of every row, as the partitions of one policy."""
        factor = self.factor(column.fact, zone)
        if factor.numbers is not None:
            assert isinstance(column, NumberColumn)
            cuts = thresholds(column)
            return Encoded(cut(factor.numbers, cuts), range(len(cuts) + 1))
        cells: dict[Any, int] = {}
        places = [cells.setdefault(column.lookup(value), len(cells)) for value in factor.values]
        if factor.codes is None:
            return Encoded(None, list(cells))
        if len(cells) == len(places):
            return Encoded(factor.codes, list(cells))
        return Encoded(np.array(places, np.int64)[factor.codes], list(cells))

    def factor(self, fact: str, zone: str) -> Factor:
        """One fact of every row, whatever the policy."""
        key = fact, zone if fact.startswith("clock.") else ""
        if key not in self._factors:
            self._factors[key] = self._factor(FACTS[fact], zone)
        return self._factors[key]

    def _factor(self, fact: Fact, zone: str) -> Factor:
        if fact.name in self.given:
            return Factor([self.given[fact.name]])
        series = self.series(fact.name)
        marks = self.columns.after(FIELD_OF_LABELS) if fact.name == "task.labels" else {}
        if marks:
            return self._marked(fact, marks, series)
        if series is not None:
            if series.dtype.is_integer() and fact.kind is Kind.TOKENS:
                return Factor((), numbers=self._whole(fact.name, series, MOST_TOKENS))
            return self._by_value(fact, series)
        if fact.name == "task.context_size" and self.tokens("tokens.input") is not None:
            return Factor((), numbers=self.exchange_tokens())
        if fact.name == "task.bucket" and (keys := self.series("key")) is not None:
            return _factor_of(
                keys,
                lambda key: (
                    self.assumed.bucket if key is None else TaskProfile("any", key=str(key)).bucket or 0
                ),
            )
        if fact.name.startswith("clock.") and self.times_us is not None:
            return _clock(fact.name, self.times_us, zone)
        if fact.name == "task.type":
            raise UnreadableLog(
                "the log does not say what sort of tasks these are: --map task.type=COLUMN, or --set "
                "task.type=NAME for all"
            )
        return Factor([self.assumed[INDEX[fact.name]]])

    def _marked(self, fact: Fact, marks: Mapping[str, str], series: pl.Series | None) -> Factor:
        """Labels of columns of yes and no (`label.L`), joined with those of a column of sets."""
        if len(marks) > MOST_MARKS:
            raise UnreadableLog(f"a log can mark at most {MOST_MARKS} labels by columns")
        written = Factor([frozenset()]) if series is None else self._by_value(fact, series)
        codes = np.zeros(self.rows, np.int64) if written.codes is None else written.codes
        labels = []
        for bit, (label, column) in enumerate(sorted(marks.items())):
            labels.append(frozenset({label}) & _names(read_value(fact, label, self.names)))
            codes = codes | (self._flag(column).astype(np.int64) << (32 + bit))
        kinds, inverse = np.unique(codes, return_inverse=True)
        values: list[FactValue] = []
        for kind in kinds.tolist():
            together = _names(written.values[kind & 0xFFFFFFFF])
            for bit, names in enumerate(labels):
                if kind >> (32 + bit) & 1:
                    together |= names
            values.append(together)
        return Factor(values, inverse.astype(np.int64))

    def _flag(self, column: str) -> "npt.NDArray[np.bool_]":
        flag = self._by_value(FACTS["task.tool_use_required"], self.frame.get_column(column))
        values = np.array([bool(value) for value in flag.values], bool)
        return np.full(self.rows, values[0]) if flag.codes is None else values[flag.codes]

    def exchange_tokens(self) -> Whole:
        """The tokens that prompt and reply need in the window, as far as the log has them."""
        prompt, reply = self.tokens("tokens.input"), self.tokens("tokens.output")
        none = np.zeros(self.rows, np.int64)
        return (none if prompt is None else prompt) + (none if reply is None else reply)

    def _by_value(self, fact: Fact, series: pl.Series) -> Factor:
        default: FactValue = self.assumed[INDEX[fact.name]]

        def read(value: object) -> FactValue:
            if value is None or (value == "" and fact.kind is not Kind.SET):
                if fact.name == "task.type":
                    raise InvalidFact("task.type is not written")
                return default
            return read_value(fact, value, self.names)

        try:
            return _factor_of(series, read)
        except InvalidFact as wrong:
            raise UnreadableLog(f"column {series.name!r}: {wrong}") from None

    def _whole(self, field: str, series: pl.Series, most: int) -> Whole:
        try:
            numbers = series.cast(pl.Int64).fill_null(0).to_numpy()
        except pl.exceptions.PolarsError:
            raise UnreadableLog(
                f"column {series.name!r} is mapped to {field}, which is a whole number"
            ) from None
        if len(numbers) and (int(numbers.min()) < 0 or int(numbers.max()) > most):
            raise UnreadableLog(f"column {series.name!r} is mapped to {field}, which is from 0 to {most}")
        return numbers


def _names(value: FactValue) -> frozenset[str]:
    assert isinstance(value, frozenset)
    return value


def read_value(fact: Fact, value: object, names: Names) -> FactValue:
    """A value as logs write it: `1` and `yes` for a flag, `pii,secret` for a set, `8192` or `8192.0`.

    Raises InvalidFact.
    """
    if isinstance(value, float) and fact.kind is not Kind.PERCENT and value.is_integer():
        value = int(value)
    match fact.kind:
        case Kind.FLAG if value in (0, 1, "0", "1"):
            return value in (1, "1")
        case Kind.SET if isinstance(value, str):
            return read_text(
                fact, value.strip("[]").replace("|", ",").replace(";", ",").replace('"', ""), names
            )
        case Kind.NAME | Kind.ORDERED:
            return read_text(fact, str(value), names)
        case _ if isinstance(value, str):
            return read_text(fact, value, names)
        case _:
            return read_json(fact, value, names)


def cut(numbers: Whole, cuts: Whole) -> Whole:
    """For each number, how many of the ascending `cuts` it has reached."""
    if not len(cuts) or not len(numbers):
        return np.zeros(len(numbers), np.int64)
    top = int(numbers.max())
    if top < MOST_LOOKED_UP and len(numbers) > 10_000:
        steps = np.bincount(np.minimum(cuts, top + 1), minlength=top + 2)
        return np.cumsum(steps)[numbers]
    return pl.Series(cuts).search_sorted(pl.Series(numbers), side="right").to_numpy().astype(np.int64)


def thresholds(column: NumberColumn, unit: Fraction = Fraction(1)) -> Whole:
    """The smallest whole number of `unit` that lies beyond each edge of the column."""
    cuts = []
    for value, side in column.edges:
        exact = Fraction(value) / unit
        cuts.append(ceil(exact) if side == 0 else floor(exact) + 1)
    return np.array([min(max(value, 0), 2**62) for value in cuts], np.int64)


def _factor_of(series: pl.Series, read: Callable[[object], FactValue]) -> Factor:
    """Each different value of a column, read once."""
    if isinstance(series.dtype, pl.List):
        series = series.list.eval(pl.element().cast(pl.String)).list.sort().list.join(",")
    if isinstance(series.dtype, pl.Boolean):
        codes = series.cast(pl.Int64).fill_null(2).to_numpy()
        written: list[object] = [False, True, None]
        seen = np.bincount(codes, minlength=3)
        places: dict[int, int] = {}
        values: list[FactValue] = []
        for place in range(3):
            if seen[place]:
                places[place] = len(values)
                values.append(read(written[place]))
        return Factor(values, np.array([places.get(place, 0) for place in range(3)], np.int64)[codes])
    if not isinstance(series.dtype, pl.Categorical | pl.Enum):
        different = series.unique() if series.dtype.is_numeric() else None
        if different is not None:
            values = [read(value) for value in different.to_list()]
            codes = series.replace_strict(different, pl.Series(range(len(values)), dtype=pl.Int64)).to_numpy()
            return Factor(values, codes)
        series = series.cast(pl.String).cast(pl.Categorical)
    kinds = series.unique()
    physical = kinds.to_physical().to_list()
    top = max((code for code in physical if code is not None), default=-1) + 1
    table = np.zeros(top + 1, np.int64)
    values = []
    for code, text in zip(physical, kinds.cast(pl.String).to_list(), strict=True):
        table[top if code is None else code] = len(values)
        values.append(read(text))
    return Factor(values, table[series.to_physical().cast(pl.Int64).fill_null(top).to_numpy()])


# --- Time -----------------------------------------------------------------------------------------------


def _times_us(series: pl.Series, start: datetime) -> Whole:
    """Microseconds since 1970.

    Numbers are seconds, from `start` when they are too small to be a date after 1973; text is ISO 8601, in
    UTC unless it has an offset.
    """
    dtype = series.dtype
    if series.null_count():
        raise UnreadableLog(f"column {series.name!r} is the time, and some rows have none")
    try:
        if dtype.is_numeric():
            lowest = series.min()
            assert isinstance(lowest, int | float) or lowest is None
            offset = 0 if lowest is not None and lowest > 1e8 else int(start.timestamp()) * 1_000_000
            return (series.cast(pl.Float64) * 1e6).round().cast(pl.Int64).to_numpy() + offset
        if isinstance(dtype, pl.String):
            zoned = series.str.contains(r"(Z|[+-]\d\d:?\d\d)$").all()
            series = series.str.to_datetime(time_unit="us", time_zone="UTC" if zoned else None)
        elif isinstance(dtype, pl.Date):
            series = series.cast(pl.Datetime("us"))
        return series.dt.epoch("us").to_numpy()
    except pl.exceptions.PolarsError:
        raise UnreadableLog(
            f"column {series.name!r} is the time: seconds, or dates such as 2026-01-31T08:00:00Z"
        ) from None


def _clock(fact: str, times_us: Whole, zone: str) -> Factor:
    if fact in ("clock.date", "clock.minute"):
        return _date_or_minute(fact, times_us, zone)
    if zone == "UTC":
        hours = times_us // 3_600_000_000
        if fact == "clock.hour":
            return Factor(range(24), hours % 24)
        if fact == "clock.day":
            days = pl.Series(times_us).cast(pl.Datetime("us")).dt.day().cast(pl.Int64).to_numpy()
            return Factor(range(1, 32), days - 1)
        return Factor(WEEKDAYS, (hours // 24 + 3) % 7)  # 1970 began on a Thursday
    local = pl.Series(times_us).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(zone)
    if fact == "clock.hour":
        return Factor(range(24), local.dt.hour().cast(pl.Int64).to_numpy())
    if fact == "clock.day":
        return Factor(range(1, 32), local.dt.day().cast(pl.Int64).to_numpy() - 1)
    return Factor(WEEKDAYS, local.dt.weekday().cast(pl.Int64).to_numpy() - 1)


def _date_or_minute(fact: str, times_us: Whole, zone: str) -> Factor:
    utc = pl.Series(times_us).cast(pl.Datetime("us", "UTC"))
    local = utc if zone == "UTC" else utc.dt.convert_time_zone(zone)
    if fact == "clock.minute":
        return Factor(range(60), local.dt.minute().cast(pl.Int64).to_numpy())
    days = local.dt.date().cast(pl.Int32).cast(pl.Int64).to_numpy() + date(1970, 1, 1).toordinal()
    return Factor((), numbers=days)


def moment(us: int) -> str:
    """An instant as reports write it: `2026-01-31T08:00:00Z`, with a fraction where there is one."""
    text = datetime.fromtimestamp(us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{us % 1_000_000:06}".rstrip("0") if us % 1_000_000 else ""
    return f"{text}{fraction}Z"


def dollars(text: str) -> Decimal:
    """An amount as a command line takes it. Raises UnreadableLog."""
    try:
        return Decimal(text.removeprefix("$"))
    except InvalidOperation:
        raise UnreadableLog(f"{text!r} is no amount of dollars") from None

"""A provider's own report of what it billed -> corrections of the books, by attempt or by day and model.

A report is CSV with a line of names, or JSON lines. A row names an attempt (`attempt_id`) or a day and a
model (`date` as YYYY-MM-DD of the ledger's time zone, `provider`, `model`), and what was billed
(`charge_usd`).

By attempt, the attempt is corrected to what was billed. By day and model the sum is compared: what was billed
beyond the books is added to the last attempt of that day; what was billed less is taken off charges that were
never measured, dearest first, and off no other. What is left is a difference that a person must explain.
Reconciling twice changes nothing the second time.
"""

import csv
import datetime
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from engine.budget import charges
from engine.budget.attempts import Basis
from engine.budget.errors import UnknownAttempt
from engine.budget.store import Session, integer
from engine.errors import EngineError

_NAMES = {"request_id": "attempt_id", "day": "date", "cost_usd": "charge_usd", "amount_usd": "charge_usd"}
_REASON = "reported by the provider"


class BadReport(EngineError):  # noqa: N818
    """A report that cannot be read; nothing of it was booked."""


@dataclass(frozen=True, slots=True)
class ReportRow:
    """What a provider says it billed, for one attempt or for a day and a model; micro-dollars."""

    line: int
    attempt_id: str | None
    date: datetime.date | None
    provider: str
    model: str
    billed_micro_usd: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One row against the books; `left_micro_usd` is what no correction explains, above zero when billed."""

    row: ReportRow
    booked_micro_usd: int
    corrected_micro_usd: int
    problem: str = ""

    @property
    def left_micro_usd(self) -> int:
        """Billed less booked less corrected."""
        return self.row.billed_micro_usd - self.booked_micro_usd - self.corrected_micro_usd


def read_report(path: Path) -> tuple[ReportRow, ...]:
    """Every row of a report. Raises BadReport, which names the line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadReport(f"{path} cannot be read: {error}") from None
    lines: Iterable[tuple[int, Any]]
    if text.lstrip().startswith("{"):
        lines = ((number, _object(number, line)) for number, line in enumerate(text.splitlines(), 1) if line)
    else:
        reader = csv.DictReader(text.splitlines())
        lines = ((reader.line_num, row) for row in reader)
    rows = tuple(_row(number, row) for number, row in lines)
    if not rows:
        raise BadReport(f"{path} holds no row")
    return rows


def _object(number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise BadReport(f"line {number} is no JSON object") from None


def _row(number: int, given: Any) -> ReportRow:
    if not isinstance(given, Mapping):
        raise BadReport(f"line {number} is no JSON object")
    row = {
        _NAMES.get(str(name), str(name)): value for name, value in given.items() if value not in (None, "")
    }
    attempt_id = None if "attempt_id" not in row else str(row["attempt_id"])
    if attempt_id is None and not {"date", "provider", "model"} <= row.keys():
        raise BadReport(f"line {number} names no attempt_id, nor date, provider and model")
    try:
        micro_usd = Decimal(str(row["charge_usd"])).scaleb(6).to_integral_value("ROUND_CEILING")
        billed = int(micro_usd)
        date = None if attempt_id is not None else datetime.date.fromisoformat(str(row["date"])[:10])
    except KeyError:
        raise BadReport(f"line {number} has no charge_usd") from None
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise BadReport(f"line {number}: {error}") from None
    if billed < 0:
        raise BadReport(f"line {number}: a charge is not negative")
    return ReportRow(
        number, attempt_id, date, str(row.get("provider", "")), str(row.get("model", "")), billed
    )


def reconcile_row(session: Session, row: ReportRow, time_zone: str) -> Difference:
    """Correct the books to one row, inside a transaction that writes."""
    if row.attempt_id is not None:
        return _reconcile_attempt(session, row, row.attempt_id)
    assert row.date is not None
    begins = datetime.datetime.combine(row.date, datetime.time(), ZoneInfo(time_zone))
    ends = datetime.datetime.combine(row.date + datetime.timedelta(days=1), datetime.time(), begins.tzinfo)
    found = session.rows(
        "SELECT a.attempt_id, a.charge_micro_usd + CAST(COALESCE((SELECT SUM(c.delta_micro_usd) "
        "FROM ledger_corrections AS c WHERE c.attempt_id = a.attempt_id), 0) AS BIGINT), a.basis "
        "FROM ledger_attempts AS a WHERE a.provider = ? AND a.model = ? AND a.reserved_us >= ? "
        "AND a.reserved_us < ? AND a.closed_us IS NOT NULL ORDER BY a.reserved_us",
        (row.provider, row.model, _microseconds(begins), _microseconds(ends)),
    )
    booked = sum(integer(charge) for _, charge, _ in found)
    missing = row.billed_micro_usd - booked
    if missing > 0 and found:
        name, charge, _ = found[-1]
        _correct(session, str(name), integer(charge) + missing)
        return Difference(row, booked, missing)
    corrected = 0
    for name, charge, basis in sorted(found, key=lambda each: -integer(each[1])):
        less = min(integer(charge), corrected - missing)
        if basis != Basis.MEASURED.value and less > 0:
            _correct(session, str(name), integer(charge) - less)
            corrected -= less
    return Difference(row, booked, corrected, "" if found or not missing else "no such call is in the books")


def _reconcile_attempt(session: Session, row: ReportRow, attempt_id: str) -> Difference:
    try:
        attempt = charges.load(session, attempt_id)
    except UnknownAttempt:
        return Difference(row, 0, 0, "no such attempt is in the books")
    if attempt.open:
        return Difference(row, 0, 0, "the attempt is under way")
    booked = attempt.charge_micro_usd + _corrections(session, attempt_id)[1]
    if booked != row.billed_micro_usd:
        _correct(session, attempt_id, row.billed_micro_usd)
    return Difference(row, booked, row.billed_micro_usd - booked)


def _correct(session: Session, attempt_id: str, charge_micro_usd: int) -> None:
    number, _ = _corrections(session, attempt_id)
    attempt = charges.load(session, attempt_id)
    key = f"report-{number + 1}"
    charges.correct(session, attempt, key, charge_micro_usd, None, Basis.MEASURED, _REASON)


def _corrections(session: Session, attempt_id: str) -> tuple[int, int]:
    ((number, delta),) = session.rows(
        "SELECT count(*), CAST(COALESCE(SUM(delta_micro_usd), 0) AS BIGINT) FROM ledger_corrections "
        "WHERE attempt_id = ?",
        (attempt_id,),
    )
    return integer(number), integer(delta)


def _microseconds(moment: datetime.datetime) -> int:
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (moment - epoch) // datetime.timedelta(microseconds=1)

"""A ledger that is gone, emptied or exchanged gives no budget again: paid is refused and local served until
it is adopted."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from engine.budget import (
    FREE,
    Attempt,
    BudgetExceeded,
    Ledger,
    LedgerReplaced,
    LedgerUnavailable,
    Limits,
    Rates,
    TokenPrices,
)
from engine.budget.postgres_store import PostgresStore
from engine.budget.schema import STEPS
from engine.budget.sqlite_store import FILE_NAME, IDENTITY_NAME, SqliteStore

from . import servers
from .clocks import real_clock

PRICES = TokenPrices(Rates.from_usd(1, 1))
LIMITS = Limits(daily_usd=1)


def paid(name: str, amount: int = 400_000) -> Attempt:
    return Attempt(name, "decision", "north", "model", False, amount, PRICES, 60)


def local_is_served(ledger: Ledger) -> bool:
    return not ledger.reserve(Attempt("free", "decision", "ollama", "m", True, 0, FREE, 60)).recorded


def opened(folder: Path) -> Ledger:
    return Ledger(SqliteStore(folder, real_clock()), LIMITS, real_clock())


def delete(folder: Path) -> None:
    for path in folder.glob(f"{FILE_NAME}*"):
        path.unlink()


def empty(folder: Path) -> None:
    os.truncate(folder / FILE_NAME, 0)


def replace(folder: Path) -> None:
    other = opened(folder / "other")
    other.reserve(paid("other", 1))
    other.close()
    os.replace(folder / "other" / FILE_NAME, folder / FILE_NAME)


def garble(folder: Path) -> None:
    (folder / FILE_NAME).write_bytes(os.urandom(20_000))


LOSSES = (delete, empty, replace, garble)


@pytest.mark.parametrize("lose", LOSSES)
def test_a_ledger_lost_between_runs_gives_no_budget_again(
    tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    """Whatever stands in its place, until a person adopts it."""
    ledger = opened(tmp_path)
    ledger.reserve(paid("a"))
    ledger.close()
    lose(tmp_path)
    later = opened(tmp_path)
    with pytest.raises(LedgerReplaced, match="engine ledger adopt"):
        later.reserve(paid("b"))
    assert local_is_served(later)
    assert later.snapshot().problem
    later.adopt()
    later.reserve(paid("c"))
    assert [event.action for event in later.events()] == ["adopt"]
    later.close()


@pytest.mark.parametrize("lose", [delete, empty, replace])
def test_a_ledger_lost_while_open_gives_no_budget_again(tmp_path: Path, lose: Callable[[Path], None]) -> None:
    """The process that has it open notices at its next call, writing or reading."""
    ledger = opened(tmp_path)
    ledger.reserve(paid("a"))
    lose(tmp_path)
    with pytest.raises(LedgerReplaced):
        ledger.reserve(paid("b"))
    with pytest.raises(LedgerReplaced):
        ledger.left_micro_usd("north")
    assert local_is_served(ledger)


def test_an_older_copy_gives_no_budget_again(tmp_path: Path) -> None:
    """A backup from before the last booking is refused, today's copy is taken."""
    ledger = opened(tmp_path)
    ledger.reserve(paid("a"))
    ledger.close()
    shutil.copy(tmp_path / FILE_NAME, tmp_path / "backup")
    ledger.reserve(paid("b"))
    ledger.close()
    shutil.copy(tmp_path / FILE_NAME, tmp_path / "today")
    os.replace(tmp_path / "backup", tmp_path / FILE_NAME)
    with pytest.raises(LedgerReplaced, match="older copy"):
        opened(tmp_path).reserve(paid("c"))
    os.replace(tmp_path / "today", tmp_path / FILE_NAME)
    with pytest.raises(BudgetExceeded):
        opened(tmp_path).reserve(paid("c"))


@pytest.mark.parametrize("damage", [b"", b"\0" * 97, b"[1]"])
def test_a_damaged_or_missing_note_is_named(tmp_path: Path, damage: bytes) -> None:
    """The message names the file; adopting notes the ledger anew, and what was booked stays booked."""
    ledger = opened(tmp_path)
    ledger.reserve(paid("a"))
    ledger.close()
    if damage:
        (tmp_path / IDENTITY_NAME).write_bytes(damage)
    else:
        (tmp_path / IDENTITY_NAME).unlink()
    later = opened(tmp_path)
    with pytest.raises(LedgerReplaced, match=IDENTITY_NAME):
        later.reserve(paid("b"))
    later.adopt()
    assert later.left_micro_usd("north") == 600_000


def test_a_crash_before_the_first_booking_loses_nothing(tmp_path: Path) -> None:
    """The note is written first, so a ledger that was never made is made under the noted name."""
    ledger = opened(tmp_path)
    ledger.left_micro_usd("north")
    ledger.close()
    (tmp_path / FILE_NAME).unlink()
    again = opened(tmp_path)
    again.reserve(paid("a"))
    again.close()
    opened(tmp_path).reserve(paid("b"))


def test_a_note_that_lags_behind_is_accepted(tmp_path: Path) -> None:
    """A crash between the booking and the note."""
    ledger = opened(tmp_path)
    ledger.reserve(paid("a"))
    lagging = (tmp_path / IDENTITY_NAME).read_bytes()
    ledger.reserve(paid("b"))
    ledger.close()
    (tmp_path / IDENTITY_NAME).write_bytes(lagging)
    assert opened(tmp_path).left_micro_usd("north") == 200_000


@pytest.fixture
def url(postgres_url: str) -> str:
    return servers.fresh_schema(postgres_url)


def shared(url: str, host: Path) -> Ledger:
    host.mkdir(exist_ok=True)
    return Ledger(PostgresStore(url, real_clock(), beside=host), LIMITS, real_clock())


TABLES = ", ".join(
    re.findall(r"CREATE TABLE (\w+)", "".join(statement for step in STEPS for statement in step))
)
DAMAGES = {
    "dropped": f"DROP TABLE {TABLES}; DROP SEQUENCE ledger_count",
    "emptied": f"TRUNCATE {TABLES}",
    "renamed": "UPDATE ledger_meta SET value = 'another' WHERE name = 'ledger_id'",
    "older": "SELECT setval('ledger_count', 1)",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("while_open", [True, False])
def test_a_shared_ledger_that_was_lost_gives_no_budget_again(
    url: str, tmp_path: Path, damage: str, while_open: bool
) -> None:
    """Dropped, emptied, exchanged or restored from an older copy, while open or between runs."""
    ledger = shared(url, tmp_path / "one")
    for name in ("a", "b"):
        ledger.reserve(paid(name, 1))
    if not while_open:
        ledger.close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(DAMAGES[damage].encode())
    with pytest.raises(LedgerReplaced, match="engine ledger adopt"):
        ledger.reserve(paid("c"))
    assert local_is_served(ledger)
    ledger.adopt()
    ledger.reserve(paid("d"))
    ledger.close()


def test_a_second_host_takes_the_shared_ledger_as_it_is(url: str, tmp_path: Path) -> None:
    """Each host notes for itself; both book in one limit."""
    one, two = shared(url, tmp_path / "one"), shared(url, tmp_path / "two")
    one.reserve(paid("a"))
    two.reserve(paid("b"))
    with pytest.raises(BudgetExceeded):
        one.reserve(paid("c"))
    one.close()
    two.close()


def test_a_folder_that_cannot_be_written_refuses_paid_and_serves_local(tmp_path: Path) -> None:
    """A directory where the note should be is named, not a traceback."""
    (tmp_path / IDENTITY_NAME).mkdir()
    ledger = opened(tmp_path)
    with pytest.raises(LedgerUnavailable, match=IDENTITY_NAME):
        ledger.reserve(paid("a"))
    assert local_is_served(ledger)

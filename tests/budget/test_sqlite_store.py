"""The ledger's file: who may read it, what breaks it, and that what breaks it never books a part."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.budget import (
    FREE,
    Attempt,
    Ledger,
    LedgerUnavailable,
    Limits,
    NewerSchema,
    Rates,
    TokenPrices,
    Usage,
)
from engine.budget import gate as gates
from engine.budget import open_ledger as open_default
from engine.budget.gate import Gate
from engine.budget.schema import STEPS
from engine.budget.sqlite_store import FILE_NAME, SqliteStore, _file_system_of
from engine.budget.usage import verify

from .clocks import SteppedClock, real_clock

PRICES = TokenPrices(Rates.from_usd(1, 1))
LIMITS = Limits(daily_usd=1)


def attempt(name: str, amount: int = 1_000) -> Attempt:
    return Attempt(name, "decision", "north", "model", False, amount, PRICES, 60)


def local(name: str) -> Attempt:
    return Attempt(name, "decision", "ollama", "model", True, 0, FREE, 60)


@pytest.fixture
def ledger(tmp_path: Path, time: SteppedClock) -> Iterator[Ledger]:
    opened = Ledger(SqliteStore(tmp_path, time.clock), LIMITS, time.clock)
    yield opened
    opened.close()


def another(folder: Path, time: SteppedClock, **options: Any) -> Ledger:
    return Ledger(SqliteStore(folder, time.clock, **options), LIMITS, time.clock)


def local_is_served(ledger: Ledger, *, recorded: bool = False) -> bool:
    """A free local attempt goes through its whole life without a word."""
    reservation = ledger.reserve(local("free"))
    ledger.dispatched(reservation)
    ledger.renew(reservation, 60)
    ledger.settle(reservation, Usage(1, 1))
    return reservation.recorded is recorded


def test_the_file_belongs_to_its_user_alone(tmp_path: Path, time: SteppedClock) -> None:
    """0600 for the ledger and whatever stands beside it, also under a generous umask."""
    before = os.umask(0)
    try:
        ledger = another(tmp_path / "state", time)
        ledger.reserve(attempt("a"))
        found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}
        ledger.close()
    finally:
        os.umask(before)
    assert set(found.values()) == {0o600}
    assert FILE_NAME in found
    assert f"{FILE_NAME}-wal" in found
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_a_ledger_others_could_read_is_made_private(tmp_path: Path, time: SteppedClock) -> None:
    (tmp_path / FILE_NAME).touch(mode=0o644)
    ledger = another(tmp_path, time)
    ledger.reserve(attempt("a"))
    ledger.close()
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


def test_opening_needs_no_set_up_and_reads_nothing(tmp_path: Path) -> None:
    """The folder appears with the first attempt."""
    ledger = open_default(state_dir=tmp_path / "a" / "b", url=None, limits=LIMITS, clock=real_clock())
    assert list(tmp_path.iterdir()) == []
    ledger.reserve(attempt("a"))
    assert (tmp_path / "a" / "b" / FILE_NAME).exists()
    ledger.close()


def test_another_kind_of_url_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="postgresql://"):
        open_default(state_dir=tmp_path, url="redis://somewhere", limits=LIMITS, clock=real_clock())


@pytest.mark.parametrize(
    ("mount", "expected"),
    [("nfs4", "nfs4"), ("ext4", "ext4")],
)
def test_the_file_system_of_a_folder_is_that_of_its_nearest_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mount: str, expected: str
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        f"1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:3 / {tmp_path} rw shared:1 - {mount} server:/x rw\n"
    )
    monkeypatch.setattr("engine.budget.sqlite_store._LOOKS_FOR_MOUNTS", mounts)
    assert _file_system_of(tmp_path) == expected


def test_a_network_file_system_is_refused(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its locks are not to be trusted; local models are still served."""
    monkeypatch.setattr("engine.budget.sqlite_store._file_system_of", lambda _: "nfs4")
    with pytest.raises(LedgerUnavailable, match="network file system"):
        ledger.reserve(attempt("a"))
    assert local_is_served(ledger)


# -- schema


def test_a_newer_schema_is_not_touched(ledger: Ledger, tmp_path: Path, time: SteppedClock) -> None:
    """Cloud is refused with the reason, local is served, not a byte is written."""
    ledger.reserve(attempt("a"))
    ledger.close()
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    connection.close()
    before = (tmp_path / FILE_NAME).read_bytes()
    newer = another(tmp_path, time)
    with pytest.raises(NewerSchema, match="update"):
        newer.reserve(attempt("b"))
    assert "schema" in str(newer.snapshot().problem)
    assert local_is_served(newer)
    newer.close()
    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_a_file_of_another_program_is_not_touched(tmp_path: Path, time: SteppedClock) -> None:
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    ledger = another(tmp_path, time)
    with pytest.raises(LedgerUnavailable, match="another program"):
        ledger.reserve(attempt("a"))
    assert local_is_served(ledger)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path, time: SteppedClock) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"not a database" * 1000)
    ledger = another(tmp_path, time)
    with pytest.raises(LedgerUnavailable):
        ledger.reserve(attempt("a"))
    assert local_is_served(ledger)


_FURTHER = (
    *STEPS,
    ("ALTER TABLE ledger_attempts ADD COLUMN note TEXT", "CREATE TABLE ledger_notes (a {integer}) {strict}"),
)


def test_a_migration_keeps_every_row_and_a_copy(ledger: Ledger, tmp_path: Path, time: SteppedClock) -> None:
    """One step forward: totals identical to the micro-dollar, the old file beside it, 0600."""
    ledger.settle(ledger.reserve(attempt("a")), Usage(123))
    ledger.close()
    migrated = another(tmp_path, time, steps=_FURTHER)
    assert migrated.left_micro_usd("north") == 1_000_000 - 123
    assert verify(migrated).ok
    migrated.close()
    backup = tmp_path / f"{FILE_NAME}.v{len(STEPS)}.backup"
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    shutil.move(backup, tmp_path / FILE_NAME)
    assert ledger.left_micro_usd("north") == 1_000_000 - 123


def test_a_migration_killed_anywhere_is_old_or_new(tmp_path: Path, time: SteppedClock) -> None:
    """A failure at each statement leaves the old schema whole; the next opening finishes it."""
    template = another(tmp_path / "template", time)
    template.settle(template.reserve(attempt("a")), Usage(123))
    template.close()
    for broken_at in range(len(_FURTHER[-1]) + 1):
        folder = tmp_path / str(broken_at)
        shutil.copytree(tmp_path / "template", folder)
        statements = [*_FURTHER[-1][:broken_at], "SELECT no_such_function()"]
        failing = another(folder, time, steps=(*STEPS, tuple(statements)))
        with pytest.raises(LedgerUnavailable):
            failing.left_micro_usd("north")
        old = another(folder, time)
        assert old.left_micro_usd("north") == 1_000_000 - 123
        old.close()
        new = another(folder, time, steps=_FURTHER)
        assert new.left_micro_usd("north") == 1_000_000 - 123
        new.close()


def test_two_that_migrate_at_once_do_it_once(tmp_path: Path) -> None:
    """Eight open the same new file together: one makes the tables, the others wait."""
    failures: list[BaseException] = []
    barrier = threading.Barrier(8)

    def use(number: int) -> None:
        clock = real_clock()
        ledger = Ledger(SqliteStore(tmp_path, clock), LIMITS, clock)
        barrier.wait()
        try:
            ledger.reserve(attempt(f"{number}"))
        except BaseException as error:
            failures.append(error)
        ledger.close()

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


# -- failure


def test_a_full_disk_refuses_and_books_nothing(ledger: Ledger, time: SteppedClock) -> None:
    """SQLITE_FULL at some reserve: refused, no part of it there; what was reserved still settles; local is
    served."""
    held = [ledger.reserve(attempt(f"held{number}")) for number in range(3)]
    writer = ledger.store._writer  # type: ignore[attr-defined]
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages}")
    booked = len(held)

    def fill() -> None:
        nonlocal booked
        for number in range(200):
            ledger.reserve(attempt(f"more{number}", 10))
            booked += 1

    with pytest.raises(LedgerUnavailable, match="full"):
        fill()
    found = ledger.store.read(lambda session: session.rows("SELECT count(*) FROM ledger_attempts"))
    assert found == [(booked,)]
    for reservation in held:
        assert ledger.settle(reservation, Usage(1)).charge_micro_usd == 1
    assert verify(ledger).ok


class _Failing:
    """A connection whose `at`-th statement fails; everything else goes to the real one."""

    def __init__(self, connection: sqlite3.Connection, at: int, error: sqlite3.Error) -> None:
        self._connection, self._at, self._error = connection, at, error

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        self._at -= 1
        if self._at < 0:
            raise self._error
        return self._connection.execute(sql, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@pytest.mark.parametrize(
    "error",
    [
        sqlite3.OperationalError("disk I/O error"),
        sqlite3.OperationalError("database or disk is full"),
        sqlite3.OperationalError("database is locked"),
        sqlite3.DatabaseError("database disk image is malformed"),
    ],
    ids=["io", "full", "locked", "malformed"],
)
@pytest.mark.parametrize("operation", ["reserve", "settle", "release", "forfeit", "expire"])
def test_an_error_at_any_statement_books_nothing(
    ledger: Ledger, time: SteppedClock, operation: str, error: sqlite3.Error
) -> None:
    """Injected at each statement in turn, begin and commit included: refused, the books as before, then it
    works."""

    def run(name: str) -> object:
        if operation == "reserve":
            return ledger.reserve(attempt(name))
        if operation == "expire":
            return ledger.expire()
        reservation = ledger.find("held")
        calls: dict[str, Callable[[], object]] = {
            "settle": lambda: ledger.settle(reservation, Usage(7)),
            "release": lambda: ledger.release(reservation, "throttled"),
            "forfeit": lambda: ledger.forfeit(reservation, "no answer"),
        }
        return calls[operation]()

    def books() -> object:
        tables = ("ledger_attempts", "ledger_windows", "ledger_corrections")
        return ledger.store.read(lambda session: [session.rows(f"SELECT * FROM {table}") for table in tables])

    store: Any = ledger.store
    ledger.reserve(attempt("held"))
    if operation == "expire":
        time.advance(100)
    failures = 0
    for at in range(60):
        before = books()
        store.write(lambda session: None, durable=False)
        store._writer = _Failing(store._writer, at, error)
        try:
            run("new")
        except LedgerUnavailable:
            failures += 1
            assert books() == before
            assert verify(ledger).ok
        else:
            break
    assert failures >= 6
    assert books() != before
    assert verify(ledger).ok


def test_a_locked_ledger_refuses_cloud_and_serves_local(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that holds the gate and hangs costs the others a short wait, not their local models."""
    monkeypatch.setattr("engine.budget.ledger._PAID_WAIT_MS", 30)
    monkeypatch.setattr("engine.budget.ledger._FREE_WAIT_MS", 10)
    clock = real_clock()
    ledger = Ledger(SqliteStore(tmp_path, clock), LIMITS, clock)
    ledger.reserve(attempt("a"))
    store: Any = ledger.store
    with store._gate.held(100):
        with pytest.raises(LedgerUnavailable, match="locked"):
            ledger.reserve(attempt("b"))
        assert local_is_served(ledger)
    ledger.reserve(attempt("b"))
    ledger.close()


def test_a_ledger_that_cannot_be_created_refuses_cloud_and_serves_local(
    tmp_path: Path, time: SteppedClock
) -> None:
    (tmp_path / "file").write_text("")
    ledger = another(tmp_path / "file" / "state", time)
    with pytest.raises(LedgerUnavailable):
        ledger.reserve(attempt("a"))
    assert ledger.snapshot().problem
    assert local_is_served(ledger)


def test_a_snapshot_keeps_the_last_known_facts(ledger: Ledger, time: SteppedClock) -> None:
    """With the problem beside them; a working ledger clears it."""
    ledger.settle(ledger.reserve(attempt("a", 500_000)), Usage(500_000))
    assert ledger.snapshot().daily_used == 50
    store: Any = ledger.store
    reader, store._reader = (
        store._reader,
        _Failing(store._reader, 0, sqlite3.OperationalError("disk I/O error")),
    )
    time.advance(1)
    broken = ledger.snapshot()
    assert broken.daily_used == 50
    assert "disk I/O error" in str(broken.problem)
    store._reader = reader
    time.advance(1)
    assert ledger.snapshot().problem is None


# -- the gate


@pytest.mark.parametrize("shared", [True, False], ids=["threads", "processes"])
def test_the_gate_lets_in_one_at_a_time_in_order(tmp_path: Path, shared: bool) -> None:
    """Who came first goes first: the threads of one gate, and gates of their own, as other processes have
    them."""
    gate = Gate(tmp_path / "gate", real_clock().uptime_ns)
    order: list[int] = []
    inside: list[int] = []
    threads = []

    def pass_through(number: int) -> None:
        with (gate if shared else Gate(tmp_path / "gate", real_clock().uptime_ns)).held(300_000):
            inside.append(number)
            assert inside == [number]
            order.append(number)
            inside.clear()

    def waiting() -> int:
        if shared:
            return len(gate._turns._waiting)
        fd = os.open(tmp_path / "gate", os.O_RDWR)
        try:
            return gates._counters(fd)[0] - 1
        finally:
            os.close(fd)

    with gate.held(300_000):
        for number in range(12):
            threads.append(threading.Thread(target=pass_through, args=(number,)))
            threads[-1].start()
            while waiting() <= number:
                gates._pause(100_000)
    for thread in threads:
        thread.join()
    assert order == list(range(12))


def test_who_loses_patience_leaves_the_queue(tmp_path: Path) -> None:
    """A thread that waits too long is told so, and the gate is free for the next when its holder leaves."""
    gate = Gate(tmp_path / "gate", real_clock().uptime_ns)
    with gate.held(0):
        with pytest.raises(LedgerUnavailable, match="locked"), gate.held(5):
            pass
        assert not gate._turns._waiting
    with gate.held(0):
        pass


def test_a_dead_holder_does_not_shut_the_gate(tmp_path: Path) -> None:
    """The kernel frees what a killed process held."""
    code = (
        "import os, sys, signal, time; from pathlib import Path; from engine.budget.gate import Gate\n"
        "with Gate(Path(sys.argv[1]), time.monotonic_ns).held(1000): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "gate")], check=False, cwd=Path(__file__).parents[2]
    )
    with Gate(tmp_path / "gate", real_clock().uptime_ns).held(0):
        pass


# -- power loss


def test_a_log_cut_at_any_frame_reopens_with_right_books(tmp_path: Path, time: SteppedClock) -> None:
    """300 operations, the write-ahead log cut at every frame: I1 to I3 hold, and nothing that was sent is
    missing."""
    store = SqliteStore(tmp_path, time.clock)
    ledger = Ledger(store, replace(LIMITS, daily_usd=10), time.clock)
    log = tmp_path / f"{FILE_NAME}-wal"
    ledger.expire()
    sent_at: dict[str, int] = {}
    for number in range(100):
        reservation = ledger.reserve(attempt(f"a{number}"))
        sent_at[reservation.attempt_id] = log.stat().st_size
        time.advance(1)
        if number % 5 == 1:
            ledger.forfeit(reservation, "no answer")
        elif number % 5 == 2:
            ledger.release(reservation, "throttled")
        elif number % 5 != 3:
            ledger.settle(reservation, Usage(number))
        if number % 3 == 0:
            ledger.renew(reservation, 60)
        if number % 10 == 9:
            time.advance(61)
            ledger.expire()
            ledger.settle(ledger.find(f"a{number - 1}"), Usage(number))  # late
    cut = tmp_path / "cut"
    cut.mkdir()
    shutil.copy(tmp_path / FILE_NAME, cut / FILE_NAME)
    shutil.copy(log, cut / log.name)
    ledger.close()

    frames = (sent_at["a99"] - 32) // (4096 + 24)
    assert frames > 300
    size = (cut / log.name).stat().st_size
    seen = []
    while size > 32:
        size -= 4096 + 24
        os.truncate(cut / log.name, max(size, 0))
        (cut / f"{FILE_NAME}-shm").unlink(missing_ok=True)
        # Read-only, so that closing neither checkpoints nor removes the log for the next, shorter cut.
        connection = sqlite3.connect(f"file:{cut / FILE_NAME}?mode=ro", uri=True, isolation_level=None)
        reader = Ledger(_Reading(connection, time), LIMITS, time.clock)  # type: ignore[arg-type]
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'ledger_attempts'").fetchone():
            ids = {row[0] for row in connection.execute("SELECT attempt_id FROM ledger_attempts")}
            assert verify(reader).findings == ()
        else:
            ids = set()  # before the tables were made nothing had been sent
        seen.append(len(ids))
        connection.close()
        assert {name for name, at in sent_at.items() if at <= size} <= ids
    assert len(seen) >= frames
    assert (seen[0], seen[-1], set(seen)) == (100, 0, set(range(101)))


class _Reading:
    """A store of one open connection, for reading only."""

    def __init__(self, connection: sqlite3.Connection, time: SteppedClock) -> None:
        self._connection, self._time = connection, time

    def read(self, work: Callable[[Any], Any]) -> Any:
        from engine.budget.sqlite_store import _SqliteSession

        return work(_SqliteSession(self._connection, self._time.clock.reading()))

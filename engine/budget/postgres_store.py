"""A PostgreSQL url -> a `Store` that many machines share.

Every transaction that writes first takes one advisory lock, so the rules run alone here as they do in SQLite;
each commit reaches the server's disk before it returns. The time is the server's, so all machines agree on
windows and leases. A client that hangs inside a transaction is cut off by the server.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from engine.budget.clock import Clock, Reading
from engine.budget.errors import LedgerReplaced, LedgerUnavailable, NewerSchema
from engine.budget.identity import Identity, Sidecar, new_ledger_id
from engine.budget.schema import APPLICATION_ID, STEPS
from engine.budget.store import READ_WAIT_MS, WAIT_MS, Row, Session, Value, integer
from engine.budget.turns import Turns, seconds
from engine.forks import after_fork, never_close

try:
    import psycopg
    import psycopg.conninfo
except ImportError as missing:  # pragma: no cover - depends on the installation
    raise LedgerUnavailable(
        "a ledger in PostgreSQL needs the extra: pip install 'local-first-router[postgres]'"
    ) from missing

T = TypeVar("T")

_CONNECT_S = 2
_RETRY_AFTER_US = 2_000_000
# A server that is gone without a word is noticed by the kernel, a silent one by `Connection`.
_TCP: dict[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 2,
    "tcp_user_timeout": 2_000,
}
_WHERE = "the shared ledger"
_NAMED = "SELECT value FROM ledger_meta WHERE name = 'ledger_id'"
_NOW_US = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
# In one round trip, from left to right: the lock, the time when it was had, the name, and a number. A refused
# ledger draws no number: it would count up to the noted one by being asked.
_LOCK = f"""
SELECT pg_advisory_xact_lock({APPLICATION_ID}), {_NOW_US}, ({_NAMED}),
    CASE WHEN last_value >= %s AND ({_NAMED}) = %s THEN nextval('ledger_count') ELSE last_value END
FROM ledger_count
""".encode()


class Connection(psycopg.Connection[Row]):
    """A connection that waits for no answer beyond `until_ns` of the monotonic clock; None: for ever."""

    until_ns: int | None = None

    def wait(self, gen: Any, *arguments: Any, **named: Any) -> Any:
        return super().wait(self._bounded(gen), *arguments, **named)

    def _bounded(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and self.until_ns is not None and time.monotonic_ns() > self.until_ns:
                    self.pgconn.finish()
                    raise psycopg.OperationalError("it did not answer in time")
                wanted = gen.send(ready)
        except StopIteration as done:
            result: T = done.value
            return result


class PostgresStore:
    """The ledger's tables in the database at `url`, in the first schema of its search path; connected on
    first use.

    One connection writes, for the threads in the order they came, and one reads, behind a lock. `server_time`
    False takes the clock's wall time instead; it is for tests that step the clock.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        server_time: bool = True,
        steps: tuple[tuple[str, ...], ...] = STEPS,
        beside: Path | None = None,
    ) -> None:
        self._url = url
        self._clock = clock
        self._server_time = server_time
        self._steps = steps
        self._sidecar = None if beside is None else Sidecar(beside.joinpath(_identity_name(url)))
        self._noted = Identity("", 0)
        self._retry_at_us = 0
        self._begin()
        after_fork(self, PostgresStore._begin)

    def _begin(self) -> None:
        """Without connections: at first, and in the child of a fork, which must not close its parent's."""
        never_close(getattr(self, "_writer", None), getattr(self, "_reader", None))
        self._writer: Connection | None = None
        self._reader: Connection | None = None
        self._writers = Turns()
        self._reader_lock = threading.Lock()

    @property
    def shared_by_hosts(self) -> bool:
        return True

    def write(self, work: Callable[[Session], T], *, durable: bool, wait_ms: int = WAIT_MS) -> T:
        until_ns = time.monotonic_ns() + wait_ms * 1_000_000
        if not self._writers.take(wait_ms * 1_000_000):
            raise LedgerUnavailable("the shared ledger is locked by other threads")
        try:
            return self._twice(lambda: self._transact(work, durable, wait_ms, until_ns), until_ns)
        finally:
            self._writers.give()

    def read(self, work: Callable[[Session], T]) -> T:
        until_ns = time.monotonic_ns() + READ_WAIT_MS * 1_000_000
        if self._writer is None:
            self.write(lambda session: None, durable=False, wait_ms=READ_WAIT_MS)
        if not self._reader_lock.acquire(timeout=seconds(READ_WAIT_MS * 1_000_000)):
            raise LedgerUnavailable("the shared ledger is being read by other threads")
        try:
            return self._twice(lambda: self._look(work, until_ns), until_ns)
        finally:
            self._reader_lock.release()

    def close(self) -> None:
        self._writers.take()
        try:
            with self._reader_lock:
                self._drop_broken(all_of_them=True)
        finally:
            self._writers.give()

    def adopt(self) -> Identity:
        self.close()
        if self._sidecar is not None:
            with suppress(FileNotFoundError):
                self._sidecar.path.unlink()
        self.write(lambda session: None, durable=True)
        return self._noted

    def _twice(self, work: Callable[[], T], until_ns: int) -> T:
        """A connection may have died unnoticed: every rule may be repeated, so try once more on a new one."""
        try:
            try:
                return work()
            except psycopg.OperationalError as error:
                if not self._drop_broken() or time.monotonic_ns() > until_ns:
                    raise error
                return work()
        except psycopg.errors.UndefinedTable:
            raise LedgerReplaced(f"{_WHERE} was emptied") from None
        except psycopg.Error as error:
            self._drop_broken()
            raise LedgerUnavailable(f"{_WHERE} failed: {_first_line(error)}") from None

    def _transact(self, work: Callable[[Session], T], durable: bool, wait_ms: int, until_ns: int) -> T:
        writer = self._open_writer(until_ns)
        writer.until_ns = until_ns
        commit = "on" if durable else "off"
        begin = f"BEGIN; SET LOCAL synchronous_commit = {commit}; SET LOCAL lock_timeout = {wait_ms}"
        with _transaction(writer, begin):
            before_us = self._clock.uptime_us()
            row = writer.execute(_LOCK, (self._noted.count, self._noted.ledger_id)).fetchone()
            found = self._found(row)
            result = work(_PostgresSession(writer, self._reading(row, before_us)))
        if durable:
            self._note(found)
        return result

    def _found(self, row: Row | None) -> Identity:
        """The identity that a row ends with. Raises LedgerReplaced when it is not the one noted."""
        name, count = row[-2:] if row is not None else (None, 0)
        if name is None:
            raise LedgerReplaced(f"{_WHERE} was emptied")
        found = Identity(str(name), integer(count))
        Sidecar.check(found, self._noted, _WHERE)
        return found

    def _note(self, found: Identity) -> None:
        """Note beside the ledger what is on its disk. A note that cannot be written stays behind."""
        if self._sidecar is not None and found.count > self._noted.count:
            with suppress(OSError):
                self._sidecar.write(found, durable=self._noted.count == 0)
        self._noted = max(self._noted, found, key=lambda identity: identity.count)

    def _look(self, work: Callable[[Session], T], until_ns: int) -> T:
        if self._reader is None:
            self._reader = self._connect(until_ns)
        reader = self._reader
        reader.until_ns = until_ns
        with _transaction(reader, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"):
            before_us = self._clock.uptime_us()
            row = reader.execute(f"SELECT NULL, {_NOW_US}".encode()).fetchone()
            return work(_PostgresSession(reader, self._reading(row, before_us)))

    def _reading(self, row: Row | None, before_us: int) -> Reading:
        """The server's time, the second of a row that was asked for after `before_us` of this machine's
        uptime."""
        if not self._server_time:
            return self._clock.reading()
        assert row is not None
        return Reading(integer(row[1]), (before_us, self._clock.uptime_us()))

    def _open_writer(self, until_ns: int) -> Connection:
        if self._writer is None:
            noted = self._read_note()
            connection = self._connect(until_ns)
            try:
                self._identify(connection, noted)
            except BaseException:
                connection.close()
                raise
            self._writer = connection
        return self._writer

    def _read_note(self) -> Identity | None:
        try:
            return None if self._sidecar is None else self._sidecar.read()
        except OSError as error:
            raise LedgerUnavailable(f"what was noted of the ledger cannot be read: {error}") from None

    def _identify(self, connection: Connection, noted: Identity | None) -> None:
        """Compare what the ledger is with what this host noted; a new host takes it as it is."""
        _migrate(connection, self._steps, noted)
        row = connection.execute(f"SELECT ({_NAMED}), last_value FROM ledger_count".encode()).fetchone()
        self._noted = Identity("", 0) if noted is None else noted
        if noted is None and row is not None:
            self._noted = Identity(str(row[0]), 0)
            if self._sidecar is not None:
                with suppress(OSError):
                    self._sidecar.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                    self._sidecar.write(Identity(str(row[0]), integer(row[1])), durable=True)
        self._found(row)

    def _connect(self, until_ns: int) -> Connection:
        if self._clock.uptime_us() < self._retry_at_us:
            raise LedgerUnavailable("the shared ledger could not be reached a moment ago")
        try:
            connection = Connection.connect(
                self._url,
                autocommit=True,
                connect_timeout=_CONNECT_S,
                application_name="local-first-router ledger",
                **_TCP,
            )
            connection.until_ns = until_ns
            connection.execute(
                f"SET idle_in_transaction_session_timeout = {WAIT_MS}; SET statement_timeout = {2 * WAIT_MS}"
            )
            return connection
        except psycopg.Error:
            self._retry_at_us = self._clock.uptime_us() + _RETRY_AFTER_US
            # The url may hold a password, and the driver's words may hold the url.
            raise LedgerUnavailable("the shared ledger cannot be reached") from None

    def _drop_broken(self, *, all_of_them: bool = False) -> bool:
        dropped = False
        if self._writer is not None and (all_of_them or self._writer.broken or self._writer.closed):
            self._writer.close()
            self._writer, dropped = None, True
        if self._reader is not None and (all_of_them or self._reader.broken or self._reader.closed):
            self._reader.close()
            self._reader, dropped = None, True
        return dropped


@contextmanager
def _transaction(connection: Connection, begin: str) -> Iterator[None]:
    """A transaction that begins with `begin`, in one round trip with all that belongs to its beginning."""
    connection.execute(begin.encode())
    try:
        yield
    except BaseException:
        with suppress(psycopg.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


class _PostgresSession:
    __slots__ = ("_connection", "now_us", "read_between_us")

    def __init__(self, connection: Connection, reading: Reading) -> None:
        self._connection = connection
        self.now_us, self.read_between_us = reading.now_us, reading.read_between_us

    def rows(self, sql: str, parameters: Sequence[Value] = ()) -> list[Row]:
        return self._connection.execute(_placeholders(sql), parameters).fetchall()

    def run(self, sql: str, parameters: Sequence[Value] = ()) -> int:
        return self._connection.execute(_placeholders(sql), parameters).rowcount


def _placeholders(sql: str) -> bytes:
    return sql.replace("?", "%s").encode()


def _migrate(connection: Connection, steps: tuple[tuple[str, ...], ...], noted: Identity | None) -> None:
    """Bring the tables to the newest version and name a new ledger, in one exclusive transaction.

    Raises LedgerReplaced when there is no name where one was noted.
    """
    with connection.transaction():
        connection.execute(f"SELECT pg_advisory_xact_lock({APPLICATION_ID})")
        row = connection.execute("SELECT to_regclass('ledger_meta') IS NOT NULL").fetchone()
        version = 0
        if row is not None and row[0]:
            found = connection.execute(
                "SELECT value FROM ledger_meta WHERE name = 'schema_version'"
            ).fetchone()
            # Tables whose version is gone were emptied; they are still this program's newest.
            version = len(steps) if found is None else int(str(found[0]))
        name = connection.execute(_NAMED.encode()).fetchone() if version else None
        if name is None:
            Sidecar.check(None, noted, _WHERE)
        if version > len(steps):
            raise NewerSchema(f"the ledger has schema {version}, this version knows {len(steps)}; update it")
        for step in steps[version:]:
            for statement in step:
                connection.execute(statement.format(integer="BIGINT", strict="").encode())
        connection.execute(
            "INSERT INTO ledger_meta (name, value) VALUES ('schema_version', %s) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (str(len(steps)),),
        )
        connection.execute("CREATE SEQUENCE IF NOT EXISTS ledger_count")
        connection.execute(
            "INSERT INTO ledger_meta (name, value) VALUES ('ledger_id', %s) ON CONFLICT DO NOTHING",
            (new_ledger_id() if noted is None else noted.ledger_id,),
        )


def _identity_name(url: str) -> str:
    """The file that a host notes this ledger's identity in: one for each database, whoever connects to it."""
    parts = {
        name: value
        for name, value in psycopg.conninfo.conninfo_to_dict(url).items()
        if name in ("host", "hostaddr", "port", "dbname", "options")
    }
    return f"ledger-{hashlib.sha256(repr(sorted(parts.items())).encode()).hexdigest()[:16]}.identity"


def _first_line(error: psycopg.Error) -> str:
    return str(error).split("\n", 1)[0]

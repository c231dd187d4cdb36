"""A PostgreSQL url -> a `Store` that many machines share.

Every transaction that writes first takes one advisory lock, so the rules run alone here as they do in SQLite;
each commit reaches the server's disk before it returns. The time is the server's, so all machines agree on
windows and leases. A client that hangs inside a transaction is cut off by the server.
"""

import os
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from engine.budget.clock import Clock, Reading
from engine.budget.errors import LedgerUnavailable, NewerSchema
from engine.budget.schema import APPLICATION_ID, STEPS
from engine.budget.store import WAIT_MS, Row, Session, Value
from engine.budget.turns import Turns

try:
    import psycopg
except ImportError as missing:  # pragma: no cover - depends on the installation
    raise LedgerUnavailable(
        "a ledger in PostgreSQL needs the extra: pip install 'local-first-router[postgres]'"
    ) from missing

T = TypeVar("T")
Connection = psycopg.Connection[Row]

_CONNECT_S = 3
_RETRY_AFTER_US = 2_000_000
_SERVER_NOW = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"


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
    ) -> None:
        self._url = url
        self._clock = clock
        self._server_time = server_time
        self._steps = steps
        self._writer: Connection | None = None
        self._reader: Connection | None = None
        self._writers = Turns()
        self._reader_lock = threading.Lock()
        self._retry_at_us = 0
        self._pid = os.getpid()

    @property
    def shared_by_hosts(self) -> bool:
        return True

    def write(self, work: Callable[[Session], T], *, durable: bool, wait_ms: int = WAIT_MS) -> T:
        self._refuse_after_fork()
        if not self._writers.take(wait_ms * 1_000_000):
            raise LedgerUnavailable("the shared ledger is locked")
        try:
            return self._twice(lambda: self._transact(work, durable=durable, wait_ms=wait_ms))
        finally:
            self._writers.give()

    def read(self, work: Callable[[Session], T]) -> T:
        self._refuse_after_fork()
        if self._writer is None:
            self.write(lambda session: None, durable=False)
        with self._reader_lock:
            return self._twice(lambda: self._look(work))

    def close(self) -> None:
        self._writers.take()
        try:
            with self._reader_lock:
                self._drop_broken(all_of_them=True)
        finally:
            self._writers.give()

    def _twice(self, work: Callable[[], T]) -> T:
        """A connection may have died unnoticed: every rule may be repeated, so try once more on a new one."""
        try:
            try:
                return work()
            except psycopg.OperationalError as error:
                if not self._drop_broken():
                    raise error
                return work()
        except psycopg.Error as error:
            self._drop_broken()
            raise LedgerUnavailable(f"the shared ledger failed: {_first_line(error)}") from None

    def _transact(self, work: Callable[[Session], T], *, durable: bool, wait_ms: int) -> T:
        writer = self._open_writer()
        with writer.transaction():
            commit = "on" if durable else "off"
            writer.execute(f"SET LOCAL synchronous_commit = {commit}; SET LOCAL lock_timeout = {wait_ms}")
            writer.execute(f"SELECT pg_advisory_xact_lock({APPLICATION_ID})")
            return work(self._session(writer))

    def _look(self, work: Callable[[Session], T]) -> T:
        if self._reader is None:
            self._reader = self._connect()
        with self._reader.transaction():
            self._reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            return work(self._session(self._reader))

    def _session(self, connection: Connection) -> "_PostgresSession":
        def server_us() -> int:
            row = connection.execute(_SERVER_NOW).fetchone()
            assert row is not None
            assert isinstance(row[0], int)
            return row[0]

        reading = self._clock.reading_of(server_us) if self._server_time else self._clock.reading()
        return _PostgresSession(connection, reading)

    def _open_writer(self) -> Connection:
        if self._writer is None:
            connection = self._connect()
            try:
                _migrate(connection, self._steps)
            except BaseException:
                connection.close()
                raise
            self._writer = connection
        return self._writer

    def _connect(self) -> Connection:
        if self._clock.uptime_us() < self._retry_at_us:
            raise LedgerUnavailable("the shared ledger could not be reached a moment ago")
        try:
            connection = psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=_CONNECT_S,
                application_name="local-first-router ledger",
            )
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

    def _refuse_after_fork(self) -> None:
        if os.getpid() != self._pid:
            raise LedgerUnavailable("this ledger was opened before a fork; open one in each process")


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


def _migrate(connection: Connection, steps: tuple[tuple[str, ...], ...]) -> None:
    """Bring the tables to the newest version, in one transaction that nobody else can be in."""
    with connection.transaction():
        connection.execute(f"SELECT pg_advisory_xact_lock({APPLICATION_ID})")
        row = connection.execute("SELECT to_regclass('ledger_meta') IS NOT NULL").fetchone()
        version = 0
        if row is not None and row[0]:
            found = connection.execute(
                "SELECT value FROM ledger_meta WHERE name = 'schema_version'"
            ).fetchone()
            version = 0 if found is None else int(str(found[0]))
        if version > len(steps):
            raise NewerSchema(f"the ledger has schema {version}, this version knows {len(steps)}; update it")
        if version == len(steps):
            return
        for step in steps[version:]:
            for statement in step:
                connection.execute(statement.format(integer="BIGINT", strict="").encode())
        connection.execute(
            "INSERT INTO ledger_meta (name, value) VALUES ('schema_version', %s) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (str(len(steps)),),
        )


def _first_line(error: psycopg.Error) -> str:
    return str(error).split("\n", 1)[0]

"""A file in the state folder -> a `Store` that many processes of one host share.

Every transaction that writes, and every checkpoint, runs inside the gate: no checkpoint ever runs beside a
commit, so the WAL-reset race of SQLite releases before 3.51.3 cannot happen, whatever release is installed.
The file belongs to its user alone (0600). Network file systems are refused: their locks are not to be
trusted.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from engine.budget import gate
from engine.budget.clock import Clock, Reading
from engine.budget.errors import LedgerUnavailable, NewerSchema
from engine.budget.gate import Gate
from engine.budget.schema import APPLICATION_ID, STEPS
from engine.budget.store import WAIT_MS, Row, Session, Value

T = TypeVar("T")

FILE_NAME = "ledger.sqlite3"

_NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre", "beegfs", "gpfs", "ocfs2"}
    | {"gfs2", "fuse.sshfs", "fuse.glusterfs"}
)
_CHECKPOINT_BYTES = 4 * 1024 * 1024
_CHECKPOINT_LOOKS_EVERY = 64
_LOOKS_FOR_MOUNTS = Path("/proc/self/mountinfo")


class SqliteStore:
    """The ledger file in `state_dir`, opened on first use."""

    def __init__(self, state_dir: Path, clock: Clock, *, steps: tuple[tuple[str, ...], ...] = STEPS) -> None:
        self.path = state_dir.joinpath(FILE_NAME)
        self._clock = clock
        self._steps = steps
        self._gate = Gate(state_dir.joinpath("ledger.gate"), clock.uptime_ns)
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._reader_lock = threading.Lock()
        self._pid = os.getpid()
        self._commits = 0

    @property
    def shared_by_hosts(self) -> bool:
        return False

    def write(self, work: Callable[[Session], T], *, durable: bool, wait_ms: int = WAIT_MS) -> T:
        self._refuse_after_fork()
        try:
            self._prepare_folder()
            with self._gate.held(wait_ms):
                return self._transact(work, durable=durable)
        except (sqlite3.Error, OSError) as error:
            raise LedgerUnavailable(f"the ledger {self.path} cannot be written: {error}") from error

    def read(self, work: Callable[[Session], T]) -> T:
        self._refuse_after_fork()
        try:
            if self._writer is None:
                # Creating and migrating the file is for a writer inside the gate.
                self.write(lambda session: None, durable=False)
            with self._reader_lock:
                reader = self._open_reader()
                reader.execute("BEGIN")
                try:
                    return work(_SqliteSession(reader, self._clock.reading()))
                finally:
                    reader.execute("ROLLBACK")
        except (sqlite3.Error, OSError) as error:
            raise LedgerUnavailable(f"the ledger {self.path} cannot be read: {error}") from error

    def close(self) -> None:
        with self._reader_lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None
        if self._writer is not None:
            with self._gate.held(WAIT_MS):
                self._writer.close()
                self._writer = None

    def _transact(self, work: Callable[[Session], T], *, durable: bool) -> T:
        writer = self._open_writer()
        try:
            writer.execute("PRAGMA synchronous = " + ("FULL" if durable else "NORMAL"))
            writer.execute("BEGIN IMMEDIATE")
            result = work(_SqliteSession(writer, self._clock.reading()))
            writer.execute("COMMIT")
        except sqlite3.Error:
            # How much went wrong is not known: begin again with a new connection, which rolls this one back.
            self._writer = None
            writer.close()
            raise
        except BaseException:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
            raise
        self._commits += 1
        if self._commits % _CHECKPOINT_LOOKS_EVERY == 0:
            self._checkpoint(writer)
        return result

    def _checkpoint(self, writer: sqlite3.Connection) -> None:
        # What was committed stays committed when this fails; the next look tries again.
        try:
            if os.stat(f"{self.path}-wal").st_size > _CHECKPOINT_BYTES:
                writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except (sqlite3.Error, OSError):
            return

    def _prepare_folder(self) -> None:
        if self._writer is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file_system = _file_system_of(self.path.parent)
            if file_system in _NETWORK_FILE_SYSTEMS:
                raise LedgerUnavailable(
                    f"the state folder {self.path.parent} is on a network file system ({file_system}); "
                    "choose a local folder, or share the ledger through PostgreSQL"
                )

    def _open_writer(self) -> sqlite3.Connection:
        if self._writer is None:
            # Created by hand so that it never exists with wider rights; SQLite copies them to its other
            # files.
            _make_private(self.path)
            connection = self._connect()
            try:
                _migrate(connection, self._steps, self.path)
            except BaseException:
                connection.close()
                raise
            self._writer = connection
        return self._writer

    def _open_reader(self) -> sqlite3.Connection:
        if self._reader is None:
            self._reader = self._connect()
            self._reader.execute("PRAGMA query_only = 1")
        return self._reader

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=WAIT_MS // 1000, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = " + ("WAL" if gate.AVAILABLE else "DELETE"))
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA foreign_keys = 1")
        return connection

    def _refuse_after_fork(self) -> None:
        if os.getpid() != self._pid:
            raise LedgerUnavailable("this ledger was opened before a fork; open one in each process")


class _SqliteSession:
    __slots__ = ("_connection", "now_us", "read_between_us")

    def __init__(self, connection: sqlite3.Connection, reading: Reading) -> None:
        self._connection = connection
        self.now_us, self.read_between_us = reading.now_us, reading.read_between_us

    def rows(self, sql: str, parameters: Sequence[Value] = ()) -> list[Row]:
        return self._connection.execute(sql, parameters).fetchall()

    def run(self, sql: str, parameters: Sequence[Value] = ()) -> int:
        return self._connection.execute(sql, parameters).rowcount


def _migrate(connection: sqlite3.Connection, steps: tuple[tuple[str, ...], ...], path: Path) -> None:
    """Bring the file to the newest version, in one exclusive transaction, after a copy of what was there."""
    version = _version(connection, steps)
    if version == len(steps):
        return
    if version > 0:
        backup = path.with_name(f"{path.name}.v{version}.backup")
        if not backup.exists():
            _make_private(backup)
            connection.execute("VACUUM INTO ?", (str(backup),))
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN EXCLUSIVE")
    try:
        for step in steps[_version(connection, steps) :]:
            for statement in step:
                connection.execute(statement.format(integer="INTEGER", strict="STRICT"))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection, steps: tuple[tuple[str, ...], ...]) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application_id != APPLICATION_ID and (version or tables):
        raise LedgerUnavailable("the ledger file is a database of another program")
    if version > len(steps):
        raise NewerSchema(f"the ledger has schema {version}, this version knows {len(steps)}; update it")
    return int(version)


def _make_private(path: Path) -> None:
    """An empty file, or the one that is there, for its user alone."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    path.chmod(0o600)


def _file_system_of(folder: Path) -> str:
    """The type of the file system `folder` is on, "" where the system does not say."""
    try:
        mounts = _LOOKS_FOR_MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    best, file_system = -1, ""
    resolved = str(folder.resolve())
    for line in mounts:
        mounted, _, source = line.partition(" - ")
        point = mounted.split(" ")[4].replace("\\040", " ")
        below = point if point.endswith("/") else point + "/"
        if (resolved == point or resolved.startswith(below)) and len(point) >= best:
            best, file_system = len(point), source.split(" ")[0]
    return file_system

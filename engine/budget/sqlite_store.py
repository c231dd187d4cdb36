"""A file in the state folder -> a `Store` that many processes of one host share.

Every transaction that writes, and every checkpoint, runs inside the gate: no checkpoint ever runs beside a
commit, so the WAL-reset race of SQLite releases before 3.51.3 cannot happen, whatever release is installed.
The file belongs to its user alone (0600). Network file systems are refused: their locks are not to be
trusted.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TypeVar

from engine.budget import gate
from engine.budget.clock import Clock, Reading
from engine.budget.errors import LedgerReplaced, LedgerUnavailable, NewerSchema
from engine.budget.gate import Gate
from engine.budget.identity import Identity, Sidecar, new_ledger_id, set_aside
from engine.budget.schema import APPLICATION_ID, STEPS
from engine.budget.store import READ_WAIT_MS, WAIT_MS, Row, Session, Value
from engine.budget.turns import seconds
from engine.forks import after_fork, around_fork, never_close

T = TypeVar("T")

FILE_NAME = "ledger.sqlite3"
IDENTITY_NAME = "ledger.identity"

_NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre", "beegfs", "gpfs", "ocfs2"}
    | {"gfs2", "fuse.sshfs", "fuse.glusterfs"}
)
_CHECKPOINT_BYTES = 4 * 1024 * 1024
_CHECKPOINT_LOOKS_EVERY = 64
# SQLite's own waits are told in steps, so that its statements stay prepared.
_WAIT_STEP_MS = 50
_LOOKS_FOR_MOUNTS = Path("/proc/self/mountinfo")


class SqliteStore:
    """The ledger file in `state_dir`, opened on first use."""

    def __init__(self, state_dir: Path, clock: Clock, *, steps: tuple[tuple[str, ...], ...] = STEPS) -> None:
        self.path = state_dir.joinpath(FILE_NAME)
        self._name = str(self.path)
        self._clock = clock
        self._steps = steps
        self._gate = Gate(state_dir.joinpath("ledger.gate"), clock.uptime_ns)
        self._sidecar = Sidecar(state_dir.joinpath(IDENTITY_NAME))
        self._noted = Identity("", 0)
        self._place: tuple[int, int] | None = None
        self._commits = 0
        self._passage: ExitStack | None = None
        self._is_lost = False
        self._begin()
        after_fork(self, SqliteStore._begin)
        around_fork(self, SqliteStore._let_go, SqliteStore._go_on)

    def _begin(self) -> None:
        """Without connections: at first, and in the child of a fork."""
        never_close(getattr(self, "_writer", None), getattr(self, "_reader", None))
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._reader_lock = threading.Lock()
        self._passage = None

    def _let_go(self) -> None:
        """Close ahead of a fork. SQLite remembers a process's locks and its log in the process: a child that
        inherits them holds no real lock, and would go on with a log that its parent deletes."""
        if self._writer is None and self._reader is None:
            return
        self._is_lost = True
        try:
            with ExitStack() as passage:
                passage.enter_context(self._gate.held(READ_WAIT_MS))
                if not self._reader_lock.acquire(timeout=seconds(READ_WAIT_MS * 1_000_000)):
                    return
                passage.callback(self._reader_lock.release)
                for connection in (self._reader, self._writer):
                    if connection is not None:
                        connection.close()
                self._reader = self._writer = None
                self._is_lost = False
                self._passage = passage.pop_all()
        except (LedgerUnavailable, sqlite3.Error, OSError):
            return  # the child is refused

    def _go_on(self) -> None:
        """Open to other threads again, in the parent."""
        self._is_lost = False
        if self._passage is not None:
            self._passage.close()
            self._passage = None

    def _refuse_if_lost(self) -> None:
        if self._is_lost:
            raise LedgerUnavailable(f"the ledger {self.path} was in use when this process was forked")

    @property
    def shared_by_hosts(self) -> bool:
        return False

    def write(self, work: Callable[[Session], T], *, durable: bool, wait_ms: int = WAIT_MS) -> T:
        self._refuse_if_lost()
        try:
            self._prepare_folder()
            until_ns = time.monotonic_ns() + wait_ms * 1_000_000
            with self._gate.held(wait_ms):
                left_ms = max(0, until_ns - time.monotonic_ns()) // 1_000_000
                return self._transact(work, durable=durable, wait_ms=left_ms // _WAIT_STEP_MS * _WAIT_STEP_MS)
        except (sqlite3.Error, OSError) as error:
            raise LedgerUnavailable(f"the ledger {self.path} cannot be written: {error}") from error

    def read(self, work: Callable[[Session], T]) -> T:
        self._refuse_if_lost()
        try:
            if self._writer is None:
                # Creating and migrating the file is for a writer inside the gate.
                self.write(lambda session: None, durable=False, wait_ms=READ_WAIT_MS)
            with self._reader_lock:
                self._check_place()
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

    def adopt(self) -> Identity:
        try:
            self._prepare_folder()
            with self._gate.held(WAIT_MS), self._reader_lock:
                never_close(self._writer, self._reader)  # they may hold what is no longer there
                self._writer = self._reader = None
                return self._adopt()
        except (sqlite3.Error, OSError) as error:
            raise LedgerUnavailable(f"the ledger {self.path} cannot be adopted: {error}") from error

    def _adopt(self) -> Identity:
        try:
            noted = self._sidecar.read()
        except LedgerReplaced:
            noted = None
        there = _id_in_main_file(self.path)
        if there is None:
            set_aside(self.path)
        if noted is None or there != noted.ledger_id:
            # The log of another file would be played into this one.
            set_aside(Path(f"{self.path}-wal"), Path(f"{self.path}-shm"))
        self.path.with_name(IDENTITY_NAME).unlink(missing_ok=True)
        self._open_writer(adopting=True)
        return self._noted

    def _transact(self, work: Callable[[Session], T], *, durable: bool, wait_ms: int) -> T:
        self._check_place()
        writer = self._open_writer()
        try:
            writer.execute(f"PRAGMA busy_timeout = {wait_ms}")
            writer.execute("PRAGMA synchronous = " + ("FULL" if durable else "NORMAL"))
            writer.execute("BEGIN IMMEDIATE")
            result = work(_SqliteSession(writer, self._clock.reading()))
            count = _count(writer) if durable else 0
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
        if count > self._noted.count:
            self._note(count)
        self._commits += 1
        if self._commits % _CHECKPOINT_LOOKS_EVERY == 0:
            self._checkpoint(writer)
        return result

    def _note(self, count: int) -> None:
        """Note beside the ledger what is on disk in it. A note that cannot be written stays behind."""
        is_first = self._noted.count == 0
        self._noted = Identity(self._noted.ledger_id, count)
        with suppress(OSError):
            self._sidecar.write(self._noted, durable=is_first)

    def _check_place(self) -> None:
        """Raises LedgerReplaced when the open file is no longer the one that its name leads to."""
        if self._writer is None:
            return
        try:
            status = os.stat(self._name)
        except FileNotFoundError:
            raise LedgerReplaced(f"the ledger {self.path} was deleted") from None
        if (status.st_dev, status.st_ino) != self._place:
            raise LedgerReplaced(f"the ledger {self.path} was replaced")
        if status.st_size == 0:
            raise LedgerReplaced(f"the ledger {self.path} was emptied")

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

    def _open_writer(self, *, adopting: bool = False) -> sqlite3.Connection:
        if self._writer is None:
            noted = self._sidecar.read()
            where = f"the ledger {self.path}"
            if noted is not None and noted.count > 0:
                there = _id_in_main_file(self.path)
                self._sidecar.check(Identity(there, noted.count) if there else None, noted, where)
            # Created by hand so that it never exists with wider rights; SQLite copies them to its others.
            _make_private(self.path)
            connection = self._connect()
            try:
                _migrate(connection, self._steps, self.path)
                self._identify(connection, noted, where, adopting=adopting)
            except BaseException:
                connection.close()
                raise
            status = os.stat(self.path)
            self._place = status.st_dev, status.st_ino
            self._writer = connection
        return self._writer

    def _identify(
        self, connection: sqlite3.Connection, noted: Identity | None, where: str, *, adopting: bool
    ) -> None:
        """Compare what the ledger is with what was noted; a new one is noted first, then named."""
        row = connection.execute("SELECT value FROM ledger_meta WHERE name = 'ledger_id'").fetchone()
        found = None if row is None else Identity(str(row[0]), _count(connection))
        if found is not None and noted is None and not adopting:
            raise LedgerReplaced(f"{self._sidecar.path}, which belongs to {where}, is missing")
        self._sidecar.check(found, noted, where)
        if found is None:
            ledger_id = new_ledger_id() if noted is None else noted.ledger_id
            self._noted = Identity(ledger_id, 0)
            self._sidecar.write(self._noted, durable=True)
            connection.execute("INSERT INTO ledger_meta (name, value) VALUES ('ledger_id', ?)", (ledger_id,))
        elif noted is None:
            self._noted = found
            self._sidecar.write(found, durable=True)
        else:
            self._noted = noted
        if noted is None or noted.count == 0:  # the id must be in the file itself before anything is booked
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _open_reader(self) -> sqlite3.Connection:
        if self._reader is None:
            self._reader = self._connect()
            self._reader.execute("PRAGMA query_only = 1")
        return self._reader

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path,
            timeout=seconds(READ_WAIT_MS * 1_000_000),
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA journal_mode = " + ("WAL" if gate.AVAILABLE else "DELETE"))
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA foreign_keys = 1")
        return connection


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


def _count(connection: sqlite3.Connection) -> int:
    """How many attempts were ever written: rows are never deleted, so their numbers only grow."""
    (count,) = connection.execute("SELECT COALESCE(MAX(rowid), 0) FROM ledger_attempts").fetchone()
    return int(count)


def _id_in_main_file(path: Path) -> str | None:
    """The id that the file itself holds, without the log beside it, which may belong to another file."""
    if not path.exists():
        return None
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)
    try:
        row = connection.execute("SELECT value FROM ledger_meta WHERE name = 'ledger_id'").fetchone()
        return None if row is None else str(row[0])
    except sqlite3.Error:
        return None
    finally:
        connection.close()


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

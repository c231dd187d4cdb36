"""Many writers on one host -> one at a time, in the order they came.

SQLite's own busy handler sleeps and tries again, so a writer can starve; this gate queues. A writer draws a
ticket, holds a lock on its ticket's byte for as long as it lives, waits until the byte before its own is
free, then takes the whole file. The kernel frees every lock of a process that dies, so a crash never leaves
the gate shut; a waiter that dies lets its successor pass earlier, which costs order and never exclusion.

The threads of a process first queue among themselves, without looking again and again, and only the first of
them stands in the queue of the processes. Each passage opens the file anew, so that two gates in one process
exclude each other too. Without open-file-description locks (they are Linux) only the order is lost; without
`fcntl` there is no gate, and the store must not use a write-ahead log.
"""

import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.budget.errors import LedgerUnavailable
from engine.budget.turns import Turns, seconds
from engine.forks import after_fork

try:
    import fcntl as _fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl: Any = None
else:
    fcntl = _fcntl

AVAILABLE = fcntl is not None
_ORDERED = hasattr(fcntl, "F_OFD_SETLK")

_COUNTERS = struct.Struct("=QQ")  # last ticket drawn, ticket being served
_COUNTER = struct.Struct("=Q")
_FLOCK = struct.Struct("hhqqi4x")  # struct flock of 64-bit Linux
_TICKETS_FROM = 1024
_MOST_TICKETS = 1 << 48
# How often to look: the next in line often, the others less the further back they are.
_NEXT_NS = 60_000
_EACH_BEFORE_NS = 150_000
_LONGEST_NS = 3_000_000


class Gate:
    """The queue kept in the file `path`, which is created when missing."""

    def __init__(self, path: Path, uptime_ns: Callable[[], int]) -> None:
        self._path = path
        self._uptime_ns = uptime_ns
        self._open: set[int] = set()
        self._turns = Turns()
        after_fork(self, Gate._begin_again)

    def _begin_again(self) -> None:
        """In the child of a fork: let go of its parent's passages, which a child must not prolong."""
        for fd in self._open:
            os.close(fd)
        self._open = set()
        self._turns = Turns()

    @contextmanager
    def held(self, wait_ms: int) -> Iterator[None]:
        """Hold the gate. Raises LedgerUnavailable when it is not free within `wait_ms` milliseconds."""
        if not AVAILABLE:  # pragma: no cover - Windows
            yield
            return
        deadline_ns = self._uptime_ns() + wait_ms * 1_000_000
        if not self._turns.take(wait_ms * 1_000_000):
            raise LedgerUnavailable("the ledger is locked by other threads")
        try:
            with self._file_held(deadline_ns):
                yield
        finally:
            self._turns.give()

    @contextmanager
    def _file_held(self, deadline_ns: int) -> Iterator[None]:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        self._open.add(fd)
        try:
            if _ORDERED:
                self._queue(fd, deadline_ns)
            self._until(lambda: _took_file(fd), lambda: 1, deadline_ns)
            yield
        finally:
            # A child may have been forked meanwhile; it must hold none of these locks.
            _free_all(fd)
            self._open.discard(fd)
            os.close(fd)

    def _queue(self, fd: int, deadline_ns: int) -> None:
        self._until(lambda: _took_byte(fd, 0), lambda: 1, deadline_ns)
        ticket, serving = _counters(fd)
        ticket += 1
        os.pwrite(fd, _COUNTERS.pack(ticket, serving), 0)
        _took_byte(fd, _TICKETS_FROM + ticket)
        _free_byte(fd, 0)
        self._until(
            lambda: _took_byte(fd, _TICKETS_FROM + ticket - 1), lambda: ticket - _counters(fd)[1], deadline_ns
        )
        os.pwrite(fd, _COUNTER.pack(ticket), _COUNTER.size)

    def _until(self, took: Callable[[], bool], distance: Callable[[], int], deadline_ns: int) -> None:
        while not took():
            if self._uptime_ns() > deadline_ns:
                raise LedgerUnavailable("the ledger is locked by another process")
            others = max(distance() - 1, 0)
            _pause(min(_NEXT_NS + others * _EACH_BEFORE_NS, _LONGEST_NS))


def _pause(duration_ns: int) -> None:
    time.sleep(seconds(duration_ns))


def _counters(fd: int) -> tuple[int, int]:
    written = os.pread(fd, _COUNTERS.size, 0)
    drawn, serving = _COUNTERS.unpack(written.ljust(_COUNTERS.size, b"\0"))
    # Counters that no queue could have come to are damage; to begin again costs the order, never exclusion.
    return (drawn, serving) if serving <= drawn < _MOST_TICKETS else (0, 0)


def _took_file(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _took_byte(fd: int, at: int) -> bool:
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, at, 1, 0))
    except (BlockingIOError, PermissionError):
        return False
    return True


def _free_byte(fd: int, at: int) -> None:
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, at, 1, 0))


def _free_all(fd: int) -> None:
    """The whole file and every byte of it. The file first, so that the next in line finds it free."""
    fcntl.flock(fd, fcntl.LOCK_UN)
    if _ORDERED:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0))

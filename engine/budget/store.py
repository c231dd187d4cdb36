"""What the rules need of a database: exclusive durable transactions, consistent reads, and the time.

The rules are written once, in the rooms around `ledger.py`, as parametrised SQL of the common ground of
SQLite and PostgreSQL with `?` for parameters. A store adds how a transaction begins and ends and what its
failures are called.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from engine.budget.identity import Identity

Value = int | str | None
Row = tuple[Value, ...]
T = TypeVar("T")

# How long a call waits for the ledger: one that ends an attempt, and one that only reads.
WAIT_MS = 5_000
READ_WAIT_MS = 2_000


class Session(Protocol):
    """One open transaction."""

    @property
    def now_us(self) -> int:
        """Microseconds since the epoch by the store's clock, read after the transaction's lock was taken."""

    @property
    def read_between_us(self) -> tuple[int, int]:
        """This machine's uptime just before and just after `now_us` was read, in microseconds."""

    def rows(self, sql: str, parameters: Sequence[Value] = ()) -> list[Row]:
        """The rows a query gives, or a RETURNING clause."""

    def run(self, sql: str, parameters: Sequence[Value] = ()) -> int:
        """Execute one statement and give the number of rows it touched."""


class Store(Protocol):
    """A database the ledger lives in. Every method raises LedgerUnavailable, and then nothing was booked."""

    @property
    def shared_by_hosts(self) -> bool:
        """True when clients on other machines, and so other boots, use the same store."""

    def write(self, work: Callable[[Session], T], *, durable: bool, wait_ms: int = WAIT_MS) -> T:
        """Run `work` alone in one transaction, all or nothing; `durable`: on disk before this returns.

        `work` may run twice when a connection breaks, so it must be idempotent, as every rule of the ledger
        is.
        """

    def read(self, work: Callable[[Session], T]) -> T:
        """Run `work` on one consistent state, without waiting for writers."""

    def adopt(self) -> Identity:
        """Take what is there for the ledger from now on, whatever was noted beside it."""

    def close(self) -> None:
        """Give back what was opened; a later call opens again."""


def integer(value: Value) -> int:
    """A column that holds integers, as one."""
    assert isinstance(value, int)
    return value

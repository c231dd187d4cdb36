"""Ledgers for tests: over a new SQLite file, over a new schema of a real PostgreSQL, and a clock stepped by
hand."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.budget import Ledger, Limits
from engine.budget.sqlite_store import SqliteStore
from engine.budget.store import Store

from . import servers
from .clocks import SteppedClock


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real server, started once by each test process that asks."""
    with servers.postgres() as url:
        yield url


@pytest.fixture
def time() -> SteppedClock:
    return SteppedClock()


@pytest.fixture(params=["sqlite", "postgres"])
def open_store(request: Any, tmp_path: Path) -> Iterator[Callable[[SteppedClock], Store]]:
    """Opens stores on one database; each call is a further client of it."""
    opened: list[Store] = []
    if request.param == "postgres":
        from engine.budget.postgres_store import PostgresStore

        url = servers.fresh_schema(request.getfixturevalue("postgres_url"))

        def open_one(time: SteppedClock) -> Store:
            opened.append(PostgresStore(url, time.clock, server_time=False))
            return opened[-1]
    else:

        def open_one(time: SteppedClock) -> Store:
            opened.append(SqliteStore(tmp_path, time.clock))
            return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def open_ledger(open_store: Callable[[SteppedClock], Store], time: SteppedClock) -> Callable[..., Ledger]:
    """Opens ledgers on one database: `open_ledger(Limits(...), strict_dispatch=True)`."""

    def open_one(limits: Limits | None = None, *, strict_dispatch: bool = False) -> Ledger:
        store = open_store(time)
        return Ledger(store, limits or Limits(), time.clock, strict_dispatch=strict_dispatch)

    return open_one

"""A router whose ledger does not answer: local calls are timed, a paid one is refused, the figures printed.

    python -m tests.execution.silent_ledgers [--calls 1000] [--json]

Each state is made for real: a process that holds the lock and is stopped, a server that is stopped (SIGSTOP),
an address that swallows every packet, garbage in each file.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.budget import Attempt, BudgetError, Clock, Ledger, Limits, Rates, TokenPrices, open_ledger
from engine.budget.sqlite_store import FILE_NAME, IDENTITY_NAME
from engine.errors import EngineError
from engine.model_router import ModelRouter
from engine.providers.scripted import ScriptedProvider
from engine.task_profiles import TaskProfile
from tests.budget import servers

from .worlds import HELLO, LOCAL_FIRST, policy_of

TASK = TaskProfile("qa")
CLOUD_ONLY = 'route cloud-only: use "east-1", then "west-1"\n'
LIMITS = Limits(daily_usd=100)
PRICES = TokenPrices(Rates.from_usd(1, 1))
HOLD = """
import sys, time, sqlite3, fcntl
kind, path = sys.argv[1:]
if kind == "gate":
    held = open(path, "r+b"); fcntl.flock(held, fcntl.LOCK_EX)
else:
    held = sqlite3.connect(path, isolation_level=None)
    held.execute("PRAGMA locking_mode = EXCLUSIVE"); held.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(1000)
"""


def opened(folder: Path, url: str | None = None) -> Ledger:
    clock = Clock(time.time_ns, time.monotonic_ns, "")
    return open_ledger(state_dir=folder, url=url, limits=LIMITS, clock=clock)


@contextmanager
def held_by_a_stopped_process(kind: str, path: Path) -> Iterator[None]:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, kind, str(path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"held\n"
        holder.send_signal(signal.SIGSTOP)
        yield
    finally:
        holder.send_signal(signal.SIGCONT)
        holder.kill()
        holder.wait()
        holder.stdout.close()


@contextmanager
def locked(folder: Path) -> Iterator[Ledger]:
    ledger = opened(folder)
    ledger.snapshot()
    ledger.close()
    with held_by_a_stopped_process("database", folder / FILE_NAME):
        yield opened(folder)


@contextmanager
def gate_held(folder: Path) -> Iterator[Ledger]:
    ledger = opened(folder)
    ledger.snapshot()
    with held_by_a_stopped_process("gate", folder / "ledger.gate"):
        yield ledger


def garbage_in(name: str) -> Callable[[Path], Any]:
    @contextmanager
    def state(folder: Path) -> Iterator[Ledger]:
        ledger = opened(folder)
        ledger.reserve(Attempt("a", "decision", "north", "model", False, 1, PRICES, 60))
        (folder / name).write_bytes(b"\xff" * 70_000)
        yield opened(folder)
        ledger.close()

    return state


@contextmanager
def frozen_server(folder: Path) -> Iterator[Ledger]:
    with servers.postgres() as url:
        ledger = opened(folder, url)
        ledger.snapshot()
        pids = server_pids(url)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield ledger
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            ledger.close()


def server_pids(url: str) -> list[int]:
    """The processes of the server that `url` leads to, its postmaster first."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()").fetchall()
        (folder,) = connection.execute("SHOW data_directory").fetchone() or ("",)
    postmaster = int((Path(folder) / "postmaster.pid").read_text().splitlines()[0])
    return [postmaster, *(pid for (pid,) in rows)]


@contextmanager
def silent_server(folder: Path) -> Iterator[Ledger]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield opened(folder, f"postgresql://user@127.0.0.1:{listener.getsockname()[1]}/base")


@contextmanager
def swallowed_packets(folder: Path) -> Iterator[Ledger]:
    """Its queue of connections is full, so the kernel answers no further one, as a black hole does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        yield opened(folder, f"postgresql://user@127.0.0.1:{address[1]}/base")
        for each in waiting:
            each.close()


STATES: dict[str, Callable[[Path], Any]] = {
    "sqlite: file locked by a stopped process": locked,
    "sqlite: gate held by a stopped process": gate_held,
    **{
        f"sqlite: garbage in {name}": garbage_in(name)
        for name in (FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm", "ledger.gate", IDENTITY_NAME)
    },
    "postgresql: server stopped": frozen_server,
    "postgresql: server silent": silent_server,
    "postgresql: packets swallowed": swallowed_packets,
}
NEEDS_NO_REFUSAL = {f"sqlite: garbage in {name}" for name in ("ledger.gate", f"{FILE_NAME}-shm")}
"""What is repaired without loss."""


async def measure(ledger: Ledger, calls: int) -> dict[str, Any]:
    """Seconds of `calls` local calls, one after the other, and of a paid one with what became of it."""
    local = ModelRouter.of(
        policy_of(routes=LOCAL_FIRST), providers=ScriptedProvider, dry_run=False, ledger=ledger
    )
    took = []
    for _ in range(calls):
        began = time.monotonic()
        answer = await local.select_and_invoke(TASK, HELLO)
        assert answer["provider"] == "ollama"
        took.append(time.monotonic() - began)
    paid = ModelRouter.of(
        policy_of(routes=CLOUD_ONLY), providers=ScriptedProvider, dry_run=False, ledger=ledger
    )
    began, refusal = time.monotonic(), ""
    try:
        await paid.select_and_invoke(TASK, HELLO)
    except (BudgetError, EngineError) as error:
        refusal = str(error)
    paid_s = time.monotonic() - began
    for router in (local, paid):
        await router.aclose()
    took.sort()
    return {
        "local_p50_s": took[len(took) // 2],
        "local_p99_s": took[len(took) * 99 // 100],
        "local_max_s": took[-1],
        "paid_s": paid_s,
        "refusal": refusal,
    }


def run(name: str, calls: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, STATES[name](Path(folder)) as ledger:
        return asyncio.run(measure(ledger, calls))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--calls", type=int, default=1000)
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    measured = {name: run(name, options.calls) for name in STATES}
    if options.json:
        print(json.dumps(measured))
        return
    for name, one in measured.items():
        print(
            f"{name:45} local p50 {one['local_p50_s'] * 1000:7.2f} ms  "
            f"p99 {one['local_p99_s'] * 1000:8.2f} ms  "
            f"max {one['local_max_s']:5.2f} s  paid {one['paid_s']:5.2f} s  {one['refusal'][:150]}"
        )


if __name__ == "__main__":
    main()

"""How long the ledger takes, as ratios to one bare SQLite commit of the same run.

    python -m tests.bench.bench_ledger [--writers 8] [--pairs 500] [--store postgres] [--json] [--check]

A bare commit is one insert into a table of one column, write-ahead log, synchronous FULL, on the same disk.
Milliseconds depend on the machine; the ratios are what to look at. The writers first go as fast as they can,
each waiting for all others at every step; then `paced`, a pair every 40 ms from each, which is still far more
than model calls ask for.
"""

import argparse
import json
import os
import random
import sqlite3
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from engine.budget import Attempt, Clock, Ledger, Limits, Rates, TokenPrices, Usage, open_ledger

_PRICES = TokenPrices(Rates.from_usd(1, 1))
_PACE_S = 0.04
_MOST = 12


def measure(folder: Path, *, url: str | None = None, writers: int = 8, pairs: int = 500) -> dict[str, Any]:
    """Latencies in milliseconds and as ratios; `errors` counts calls that failed."""
    bare = _median(_bare_commits(folder, pairs))
    (single,) = _run(folder / "single", url, 1, pairs)
    many = _run(folder / "many", url, writers, pairs // 2)
    paced = _run(folder / "paced", url, writers, min(pairs // 2, 100), pause_s=_PACE_S)
    reserves = sorted(took for writer in many for took in writer["reserve"])
    paced_reserves = sorted(took for writer in paced for took in writer["reserve"])
    settles = sorted(took for writer in many for took in writer["settle"])
    single_reserve = _median(single["reserve"])
    wall_s = max(writer["ended"] for writer in many) - min(writer["began"] for writer in many)
    return {
        "bare_commit_ms": _ms(bare),
        "reserve_ms": _ms(single_reserve),
        "settle_ms": _ms(_median(single["settle"])),
        "reserve_to_bare_commit": round(single_reserve / bare, 2),
        "settle_to_bare_commit": round(_median(single["settle"]) / bare, 2),
        "snapshot_ms": _ms(_median(single["snapshot"])),
        "writers": writers,
        "reserve_p50_ms": _ms(_median(reserves)),
        "reserve_p99_ms": _ms(reserves[len(reserves) * 99 // 100]),
        "reserve_max_ms": _ms(reserves[-1]),
        "settle_p99_ms": _ms(settles[len(settles) * 99 // 100]),
        "reserve_p99_to_single_median": round(reserves[len(reserves) * 99 // 100] / single_reserve, 2),
        "reserve_p99_to_bare_commit": round(reserves[len(reserves) * 99 // 100] / bare, 2),
        "paced_reserve_p50_ms": _ms(_median(paced_reserves)),
        "paced_reserve_p99_ms": _ms(paced_reserves[len(paced_reserves) * 99 // 100]),
        "paced_reserve_p99_to_single_median": round(
            paced_reserves[len(paced_reserves) * 99 // 100] / single_reserve, 2
        ),
        "pairs_per_second": round(len(reserves) / wall_s),
        "errors": [error for writer in (single, *many, *paced) for error in writer["errors"]],
    }


def _bare_commits(folder: Path, count: int) -> list[float]:
    connection = sqlite3.connect(folder / "bare.sqlite3", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE bare (number INTEGER)")
    took = []
    for number in range(count):
        began = time.perf_counter()
        connection.execute("INSERT INTO bare VALUES (?)", (number,))
        took.append(time.perf_counter() - began)
    connection.close()
    return took


def _run(
    folder: Path, url: str | None, writers: int, pairs: int, *, pause_s: float = 0.0
) -> list[dict[str, Any]]:
    """Each writer in a process of its own; all begin together."""
    folder.mkdir()
    start = time.monotonic() + 0.3
    children = []
    for number in range(writers):
        pid = os.fork()
        if not pid:
            try:
                (folder / f"{number}.json").write_text(
                    json.dumps(_write(folder, url, f"{folder.name}.{number}", pairs, start, pause_s))
                )
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    return [json.loads((folder / f"{number}.json").read_text()) for number in range(writers)]


def _write(
    folder: Path, url: str | None, name: str, pairs: int, start: float, pause_s: float
) -> dict[str, Any]:
    clock = Clock(time.time_ns, time.monotonic_ns, "bench")
    limits = Limits(daily_usd=10**6, monthly_usd=10**7, per_provider_daily={"north": 10**6})
    ledger = open_ledger(state_dir=folder, url=url, limits=limits, clock=clock)
    ledger.expire()
    taken: dict[str, Any] = {"reserve": [], "settle": [], "snapshot": [], "errors": []}
    time.sleep(max(0.0, start - time.monotonic()))
    taken["began"] = time.monotonic()
    for number in range(pairs):
        _pair(ledger, f"{name}.{number}", taken)
        if pause_s:
            time.sleep(pause_s * random.uniform(0.5, 1.5))
    taken["ended"] = time.monotonic()
    ledger.close()
    return taken


def _pair(ledger: Ledger, name: str, taken: dict[str, Any]) -> None:
    attempt = Attempt(name, name, "north", "model", False, 5_000, _PRICES, 600)
    try:
        began = time.perf_counter()
        reservation = ledger.reserve(attempt)
        reserved = time.perf_counter()
        ledger.settle(reservation, Usage(1_000, 200))
        settled = time.perf_counter()
        ledger.snapshot()
        taken["snapshot"].append(time.perf_counter() - settled)
    except Exception as error:
        taken["errors"].append(repr(error))
    else:
        taken["reserve"].append(reserved - began)
        taken["settle"].append(settled - reserved)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.bench.bench_ledger", description="Measure the ledger.")
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--check", action="store_true", help=f"fail when paced p99 is above {_MOST} single medians"
    )
    chosen = parser.parse_args(arguments)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench")))
        url = None
        if chosen.store == "postgres":
            from tests.budget import servers

            url = stack.enter_context(servers.postgres())
        report = measure(folder, url=url, writers=chosen.writers, pairs=chosen.pairs)
    if chosen.json:
        print(json.dumps(report))
    else:
        for name, value in report.items():
            print(f"{name:30} {value}")
    too_slow = chosen.check and report["paced_reserve_p99_to_single_median"] > _MOST
    return 1 if report["errors"] or too_slow else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Runs the programs of this folder as their own processes, since they fork, and reads the JSON they end
with."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from .planted import RACES

_HANGS_S = 1_800
"""A program that takes longer, in seconds, hangs; on an idle machine each takes less than thirty."""

_ROOT = Path(__file__).parents[2]


def program(module: str, *arguments: str) -> dict[str, Any]:
    """What `python -m MODULE ARGUMENTS` reported, whatever its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=_HANGS_S,
        check=False,
    )
    assert done.stdout, done.stderr[-2_000:]
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def soak(*arguments: str) -> dict[str, Any]:
    return program("tests.budget.soak", *arguments)


def planted_run(bug: str) -> tuple[str, ...]:
    """The arguments of a soak in which this bug shows itself whatever the machine does meanwhile.

    A race has one call of each of 64 workers, all at the same time. What goes wrong at the end of a day needs
    days; for all else time stands nearly still, so that no lease ends before its call on a slow machine.
    """
    if bug in RACES:
        return "--workers", "64", "--processes", "8", "--calls", "1", "--days", "0"
    if bug in ("charge-moves-with-the-clock", "reset-by-last-write"):
        return "--days", "3", "--kills", "4"
    return "--days", "0"


def crash(*arguments: str) -> dict[str, Any]:
    return program("tests.budget.crash", *arguments)


def bench(*arguments: str) -> dict[str, Any]:
    return program("tests.bench.bench_ledger", "--json", *arguments)

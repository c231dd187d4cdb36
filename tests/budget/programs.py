"""Runs the programs of this folder as their own processes, since they fork, and reads the JSON they end with."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]


def program(module: str, *arguments: str) -> dict[str, Any]:
    """What `python -m MODULE ARGUMENTS` reported, whatever its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout, done.stderr[-2_000:]
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def soak(*arguments: str) -> dict[str, Any]:
    return program("tests.budget.soak", *arguments)


def crash(*arguments: str) -> dict[str, Any]:
    return program("tests.budget.crash", *arguments)


def bench(*arguments: str) -> dict[str, Any]:
    return program("tests.bench.bench_ledger", "--json", *arguments)

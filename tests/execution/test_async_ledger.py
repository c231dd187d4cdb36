"""What is written behind an answer: it holds nobody up, keeps its order, and is lost by no end of the program
but a crash."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.budget import Attempt, Clock, Ledger, Limits, Reservation, open_ledger
from engine.budget.usage import export_rows
from engine.execution.async_ledger import MOST_PUT_BY, AsyncLedger
from engine.execution.decision_log import log_files, read_records
from engine.execution.runtime import Runtime
from engine.model_router import ModelRouter
from engine.providers.scripted import ScriptedProvider
from engine.task_profiles import TaskProfile

from .worlds import HELLO, LOCAL_FIRST, policy_of

TASK = TaskProfile("qa")
HANGS_S = 300  # only what hangs takes longer, on a machine of any speed


class _Stuck(Ledger):
    """A ledger that writes nothing down until it is let go."""

    gate: threading.Event

    def reserve(self, attempt: Attempt) -> Reservation:
        assert self.gate.wait(HANGS_S)
        return super().reserve(attempt)


def _opened(folder: Path) -> Ledger:
    return open_ledger(
        state_dir=folder, url=None, limits=Limits(), clock=Clock(time.time_ns, time.monotonic_ns, "")
    )


def _router(**more: Any) -> ModelRouter:
    return ModelRouter.of(policy_of(routes=LOCAL_FIRST), providers=ScriptedProvider, dry_run=False, **more)


async def test_a_free_local_answer_waits_for_no_ledger(tmp_path: Path) -> None:
    """The ledger hangs; answers come all the same, and their rows are there, ended, once it goes on."""
    real = _opened(tmp_path)
    stuck = _Stuck(real.store, Limits(), real._clock)
    stuck.gate = threading.Event()
    # The hand of this clock stands still: the facts stay fresh, and the ledger is not read again.
    world = Runtime(
        lambda: datetime.now(UTC), lambda: 0.0, asyncio.sleep, lambda: 0.5, lambda: uuid.uuid4().hex
    )
    router = _router(ledger=stuck, runtime=world)
    router.plan(TASK)
    results = [
        await asyncio.wait_for(router.select_and_invoke(TASK, HELLO), HANGS_S)
        for _ in range(MOST_PUT_BY // 2)
    ]
    assert {result["provider"] for result in results} == {"ollama"}
    stuck.gate.set()
    await router.aclose()
    rows = export_rows(real)
    assert [row.decision_id for row in rows] == [result["decision_id"] for result in results]
    assert {row.state for row in rows} == {"settled"}


@pytest.mark.parametrize("end", ["", "await router.aclose()"], ids=["the program ends", "closed"])
def test_nothing_put_by_is_lost(end: str, tmp_path: Path) -> None:
    """A program that asks once and ends, with or without closing its router, leaves the row and the
    decision's line."""
    program = f"""
import asyncio
from tests.execution.test_async_ledger import _router, HELLO, TASK
async def main():
    router = _router()
    await router.select_and_invoke(TASK, HELLO)
    {end}
    return router
router = asyncio.run(main())
"""
    subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        timeout=HANGS_S,
        cwd=Path(__file__).parents[2],
        env={"ENGINE_STATE_DIR": str(tmp_path), "PATH": ""},
    )
    (row,) = export_rows(_opened(tmp_path))
    assert (row.state, row.provider) == ("settled", "ollama")
    assert len([record for path in log_files(tmp_path) for record in read_records(path)]) == 1


def test_a_second_event_loop_is_served_too(tmp_path: Path) -> None:
    """What one loop put by and never took up is written, in order, by the next."""
    async_ledger = AsyncLedger(lambda _: _opened(tmp_path), Limits())
    done: list[int] = []

    async def put_by(*numbers: int) -> None:
        for number in numbers:
            async_ledger.later(lambda number=number: done.append(number))  # type: ignore[misc]

    async def wait() -> None:
        await put_by(2)
        while len(done) < 3:
            await asyncio.sleep(0.001)

    asyncio.run(put_by(0, 1))
    assert done == []
    asyncio.run(asyncio.wait_for(wait(), HANGS_S))
    assert done == [0, 1, 2]


async def test_what_was_put_by_comes_before_what_is_asked_after(tmp_path: Path) -> None:
    """`flush` waits for it, a bug in one stops no other, and what is asked later is done later."""
    async_ledger = AsyncLedger(lambda _: _opened(tmp_path), Limits())
    done: list[str] = []
    async_ledger.later(lambda: done.append("first"))
    async_ledger.post(lambda ledger: done.append("second"), lambda error: None, behind=True)
    async_ledger.post(lambda ledger: done.append("third"), lambda error: None)
    async_ledger.later(lambda: done.append("fourth"))
    async_ledger.flush()
    assert done == ["first", "second", "third", "fourth"]
    await async_ledger.aclose()

"""A ledger that does not answer holds up no local call beyond its deadline; a paid one is refused soon."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.execution.async_ledger import PATIENCE_S
from engine.execution.policy_snapshot import DEADLINE_S
from engine.model_router import ModelRouter
from engine.providers.scripted import ScriptedProvider

from .silent_ledgers import NEEDS_NO_REFUSAL, STATES, TASK, opened, run
from .worlds import HELLO, LOCAL_FIRST, policy_of

HANGS_S = 30  # on a machine of any speed, far from the two seconds and from hanging


@pytest.mark.parametrize("state", STATES)
def test_local_is_served_and_paid_is_refused_in_time(state: str, caplog: pytest.LogCaptureFixture) -> None:
    """Every local call is within its deadline; the refusal names the ledger and what helps."""
    measured = run(state, 60)
    assert measured["local_max_s"] < DEADLINE_S
    assert measured["paid_s"] < PATIENCE_S + HANGS_S
    if state not in NEEDS_NO_REFUSAL:
        assert "ledger" in measured["refusal"]
        assert "`engine " in measured["refusal"]
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_router_goes_on_in_the_child_of_a_fork(tmp_path: Path) -> None:
    """Threads and connections are made anew, and the child writes down what the parent has not."""
    import asyncio

    ledger = opened(tmp_path)
    router = ModelRouter.of(
        policy_of(routes=LOCAL_FIRST), providers=ScriptedProvider, dry_run=False, ledger=ledger
    )
    await router.select_and_invoke(TASK, HELLO)

    async def again() -> None:
        answer = await router.select_and_invoke(TASK, HELLO)
        assert answer["provider"] == "ollama"
        await router.aclose()

    pid = os.fork()
    if not pid:
        code = 1
        try:
            asyncio.events._set_running_loop(None)
            loop = asyncio.new_event_loop()
            loop.run_until_complete(asyncio.wait_for(again(), HANGS_S))
            code = 0
        finally:
            os._exit(code)
    _, status = await asyncio.to_thread(os.waitpid, pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    await router.aclose()

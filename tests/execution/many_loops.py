"""Eight threads with an event loop each call one router, ten thousand times: how many calls leave home?

    python -m tests.execution.many_loops [CALLS] [THREADS]

A healthy local server stands first in every chain, a cloud one behind it. Half of the calls meet in cold
routers (made for a handful of calls), half in one warm router, and in some loops every call is an
`asyncio.run` of its own. When the first call is made, another thread is importing the SDK. Ends with 1 unless
no call went to the cloud and none failed.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from engine.model_router import ModelRouter
from engine.task_profiles import TaskProfile

from ..providers.dialects import MODEL, OPENAI
from .local_servers import served_by_a_thread
from .worlds import HELLO, catalogue, cloud, local, policy_of
from .worlds import model as listed

TASK = TaskProfile("qa")
A_COLD_ROUTER = 5
"""Calls that each thread makes through one router before the next is made."""


def main(calls: int = 10_000, threads: int = 8) -> int:
    """Print what became of the calls; 0 when all were answered locally."""
    import_elsewhere = threading.Thread(target=importlib.import_module, args=("openai",))
    with served_by_a_thread(OPENAI) as home, served_by_a_thread(OPENAI) as away:
        models = catalogue(
            home=local(listed(MODEL), api="openai", base_url=f"{home.url}/v1"),
            away=cloud(listed("far", price=1.0), base_url=f"{away.url}/v1", api_key_env="K"),
        )
        policy = policy_of(models, f'route r: use "{MODEL}", then "far"\n')

        def made() -> ModelRouter:
            return ModelRouter.of(policy, dry_run=False)

        warm = made()
        import_elsewhere.start()
        told = _in_threads(lambda: warm, calls // 2, threads)
        for _ in range(calls // 2 // (A_COLD_ROUTER * threads)):
            cold = made()
            told += _in_threads(lambda cold=cold: cold, A_COLD_ROUTER * threads, threads)  # type: ignore[misc]
            cold.close()
        warm.close()
        sent_away = len(away.prompts())
    import_elsewhere.join()
    print(f"{sum(told.values())} calls, {sent_away} prompts at the cloud's server")
    for outcome, count in told.most_common():
        print(f"{count:6}  {outcome}")
    return int(sent_away > 0 or set(told) != {"home"})


def _in_threads(router: Callable[[], ModelRouter], calls: int, threads: int) -> Counter[str]:
    meeting = threading.Barrier(threads)

    async def one() -> str:
        try:
            return str((await router().select_and_invoke(TASK, HELLO))["provider"])
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    async def several(times: int) -> list[str]:
        return [await one() for _ in range(times)]

    def in_a_thread(number: int) -> list[str]:
        meeting.wait()
        if number % 4 == 0:  # a loop for each call
            return [asyncio.run(one()) for _ in range(calls // threads)]
        return asyncio.run(several(calls // threads))

    with ThreadPoolExecutor(threads) as pool:
        return Counter(told for answers in pool.map(in_a_thread, range(threads)) for told in answers)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"K": "sk-far", "ENGINE_STATE_DIR": folder}
        sys.exit(main(*map(int, sys.argv[1:])))

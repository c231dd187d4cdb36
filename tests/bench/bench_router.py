"""The overhead of the router on a call, against the SDK itself on the same loopback server, in one run.

python -m tests.bench.bench_router [--calls N] [--litellm PYTHON]

Prints the median of each way, the milliseconds added and the ratio. `--litellm` names a Python of another
environment that can import litellm; its Router then calls the same server, and its overhead is set against
this router's.

The server answers from memory; every call is the vendor's SDK over real HTTP, warmed up, the ways in a random
order. Between two calls all pending rows are written, so that one way's work is not counted as the next
one's; the last figures show the cost of those writes: calls back to back, per call, writes included.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

from engine.model_router import ModelRouter
from engine.task_profiles import TaskProfile

from ..execution.worlds import catalogue, cloud, local, model, policy_of
from ..providers.dialects import MODEL, OLLAMA, OPENAI, errand
from ..providers.wire_server import Answer, Received, wire_server

HELLO = [{"role": "user", "content": "hello"}]
NEAR, FAR = TaskProfile("qa"), TaskProfile("qa", labels=["far"])

LITELLM = """
import asyncio, json, random, statistics, sys, time
import litellm
from litellm import Router
from openai import AsyncOpenAI
litellm.telemetry = False
url, calls = sys.argv[1], int(sys.argv[2])
messages = [{"role": "user", "content": "hello"}]
async def main():
    params = {"model": "openai/tiny:1b", "api_key": "sk-x", "api_base": url}
    router = Router(model_list=[{"model_name": "m", "litellm_params": params}], num_retries=0)
    sdk = AsyncOpenAI(api_key="sk-x", base_url=url, max_retries=0)
    ways = {"sdk": lambda: sdk.chat.completions.create(model="tiny:1b", messages=messages, max_tokens=1000),
            "router": lambda: router.acompletion(model="m", messages=messages, max_tokens=1000)}
    times = {name: [] for name in ways}
    chance = random.Random(0)
    for number in range(calls + 20):
        for name, call in chance.sample(list(ways.items()), len(ways)):
            began = time.perf_counter()
            await call()
            if number >= 20:
                times[name].append(time.perf_counter() - began)
            await asyncio.sleep(0.002)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    for name, call in ways.items():
        began = time.perf_counter()
        for _ in range(calls):
            await call()
        medians[name + ", back to back"] = (time.perf_counter() - began) / calls
    print(json.dumps(medians))
asyncio.run(main())
"""


def _handler(received: Received) -> Answer:
    if received.path == OPENAI.prompt_path:
        return OPENAI.whole()
    return OLLAMA.whole() if received.path == OLLAMA.prompt_path else errand(received)


async def measure(
    ways: dict[str, Callable[[], Awaitable[Any]]], calls: int, settle: Callable[[], object]
) -> dict[str, float]:
    """The median seconds of each way, in turn, so that a busy machine is busy for all; `settle` runs between
    them."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    chance = random.Random(0)
    for number in range(calls + 20):
        # In any order: whoever comes after another finds its caches warm, or cold.
        for name, call in chance.sample(list(ways.items()), len(ways)):
            began_at = time.perf_counter()
            await call()
            if number >= 20:
                times[name].append(time.perf_counter() - began_at)
            settle()
            await asyncio.sleep(0.002)
    return {name: statistics.median(taken) for name, taken in times.items()}


async def back_to_back(call: Callable[[], Awaitable[Any]], calls: int, settle: Callable[[], object]) -> float:
    """Seconds a call, one after the other, pending writes included."""
    began_at = time.perf_counter()
    for _ in range(calls):
        await call()
    settle()
    return (time.perf_counter() - began_at) / calls


async def run(calls: int, litellm: str | None) -> dict[str, Any]:
    """All figures, in milliseconds at the median."""
    from openai import AsyncOpenAI

    os.environ["BENCH_KEY"] = "sk-bench"
    async with wire_server(_handler) as server:
        place = {"api": "openai", "base_url": f"{server.url}/v1"}
        models = catalogue(
            here=local(model("l1"), **place),
            there=cloud(model("c1", price=1.0), api_key_env="BENCH_KEY", **place),
        )
        routes = 'route far: use "c1" when task.labels has far\nroute near: use l1\n'
        # A router of its own for either: after a charge the next decision reads the books again, whoever it
        # is for.
        routers = []
        for _ in range(2):
            os.environ["ENGINE_STATE_DIR"] = tempfile.mkdtemp()
            routers.append(ModelRouter.of(policy_of(models, routes), dry_run=False))
        at_home, router = routers

        def settle() -> None:
            for one in routers:
                assert one.ledger is not None

        sdk = AsyncOpenAI(api_key="sk-bench", base_url=f"{server.url}/v1", max_retries=0)
        try:
            ways: dict[str, Callable[[], Awaitable[Any]]] = {
                "sdk": lambda: sdk.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=1000),
                "router, local model": lambda: at_home.select_and_invoke(NEAR, HELLO),
                "router, cloud model": lambda: router.select_and_invoke(FAR, HELLO),
            }
            medians = await measure(ways, calls, settle)
            in_a_row = {name: await back_to_back(call, calls, settle) for name, call in ways.items()}
            durable_ms = await _durable_ms(router)
        finally:
            await sdk.close()
            await router.aclose()
            await at_home.aclose()
        report: dict[str, Any] = {name: round(median * 1000, 3) for name, median in medians.items()}
        for name in ("router, local model", "router, cloud model"):
            report[f"{name}: added"] = round((medians[name] - medians["sdk"]) * 1000, 3)
            report[f"{name}: ratio"] = round(medians[name] / medians["sdk"], 2)
        for name, taken in in_a_row.items():
            report[f"{name}: back to back"] = round(taken * 1000, 3)
        report["one durable commit of the ledger"] = durable_ms
        if litellm is not None:
            report |= await asyncio.to_thread(_against_litellm, litellm, f"{server.url}/v1", calls, report)
    return report


async def _durable_ms(router: ModelRouter) -> float:
    """Milliseconds of one reservation that survives a power loss."""
    store, times = router.ledger.store, []
    for number in range(60):
        began_at = time.perf_counter()
        store.write(
            lambda session, n=number: session.run("INSERT INTO ledger_meta VALUES (?, 'x')", (f"bench{n}",)),
            durable=True,
        )
        times.append(time.perf_counter() - began_at)
    return round(statistics.median(times) * 1000, 3)


def _against_litellm(python: str, url: str, calls: int, ours: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [python, "-c", LITELLM, url, str(calls)], capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode != 0:
        return {"litellm": f"not measured: {done.stderr.strip().splitlines()[-1:]}"}
    medians = json.loads(done.stdout.splitlines()[-1])
    added = (medians["router"] - medians["sdk"]) * 1000
    return {
        "litellm router: added": round(added, 3),
        "litellm router: back to back": round(medians["router, back to back"] * 1000, 3),
        "the SDK it pins: back to back": round(medians["sdk, back to back"] * 1000, 3),
        "litellm adds, times what this router adds (local)": round(
            added / max(0.001, ours["router, local model: added"]), 1
        ),
    }


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--litellm", metavar="PYTHON", help="an interpreter that can import litellm")
    arguments = parser.parse_args()
    for name, value in asyncio.run(run(arguments.calls, arguments.litellm)).items():
        print(
            f"{name:55} {value}"
            + (" ms" if isinstance(value, float) and "ratio" not in name and "times" not in name else "")
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

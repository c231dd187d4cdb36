"""A web application and a task queue that make their router, and use it, before their workers are forked.

They are the programs of `test_forks`: the router is of the folder in ENGINE_CONFIG_DIR.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from engine import ModelRouter, TaskProfile

HELLO = [{"role": "user", "content": "hello"}]
DEADLINE_S = 60.0

router = ModelRouter()
# Threads, locks and connections exist now, in the process that is about to fork.
router.invoke(TaskProfile("qa"), HELLO)


def asked(*, in_a_loop_of_its_own: bool = False) -> dict[str, Any]:
    """One call, from code without an event loop: who answered, where, and whether in time."""
    began = time.monotonic()
    if in_a_loop_of_its_own:
        call = router.select_and_invoke(TaskProfile("qa"), HELLO, deadline_s=DEADLINE_S)
        provider = asyncio.run(call)["provider"]
    else:
        provider = router.invoke(TaskProfile("qa"), HELLO, deadline_s=DEADLINE_S)["provider"]
    return told(provider, began)


def told(provider: str, began: float) -> dict[str, Any]:
    """What became of a call."""
    return {"by": provider, "pid": os.getpid(), "in_time": time.monotonic() - began <= DEADLINE_S}


def web() -> Any:
    """The FastAPI application; gunicorn calls this before it forks."""
    from fastapi import FastAPI

    application = FastAPI()

    @application.get("/async")
    async def asynchronous() -> dict[str, Any]:
        began = time.monotonic()
        answer = await router.select_and_invoke(TaskProfile("qa"), HELLO, deadline_s=DEADLINE_S)
        return told(answer["provider"], began)

    @application.get("/sync")
    def synchronous() -> dict[str, Any]:
        return asked()

    return application


def queue() -> Any:
    """The Celery application, over a folder as its broker."""
    from celery import Celery

    folder = os.environ["QUEUE_FOLDER"]
    application = Celery("forked", broker="filesystem://", backend=f"file://{folder}/results")
    application.conf.update(
        broker_transport_options={
            "data_folder_in": f"{folder}/tasks",
            "data_folder_out": f"{folder}/tasks",
            "control_folder": f"{folder}/control",
        },
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
    )

    @application.task(name="ask")
    def ask(number: int) -> dict[str, Any]:
        return asked(in_a_loop_of_its_own=number % 2 == 0)

    return application


if "QUEUE_FOLDER" in os.environ:
    tasks = queue()

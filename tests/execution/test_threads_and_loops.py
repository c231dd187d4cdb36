"""One router in several threads and event loops, one after the other and side by side, over real sockets."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.errors import EngineError
from engine.execution.concurrency import Slots
from engine.model_router import ModelRouter
from engine.providers.importing import imported
from engine.providers.loop_local import LoopLocal
from engine.task_profiles import TaskProfile

from ..providers.dialects import ANTHROPIC, MODEL, OLLAMA, OPENAI, TEXT, Dialect
from ..providers.wire_server import WireServer
from .local_servers import served_by_a_thread
from .worlds import HELLO, catalogue, cloud, local, policy_of
from .worlds import model as listed

TASK = TaskProfile("qa")
THREADS = 8
GUARD_S = 60.0
"""A wait for what never comes ends after so many seconds; nothing is judged by it."""


@dataclass
class Place:
    """A router that asks `home` first, and `away` in the cloud behind it."""

    router: ModelRouter
    home: WireServer
    away: WireServer


@contextmanager
def place(dialect: Dialect = OPENAI) -> Iterator[Place]:
    with ExitStack() as stack:
        home, away = (stack.enter_context(served_by_a_thread(spoken)) for spoken in (dialect, OPENAI))
        models = catalogue(
            home=local(listed(MODEL), api=dialect.name, base_url=home.url + dialect.base_path),
            away=cloud(listed("far", price=1.0), base_url=away.url + "/v1", api_key_env="K"),
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("K", "sk-far")
            router = ModelRouter.of(policy_of(models, f'route r: use "{MODEL}", then "far"\n'), dry_run=False)
        yield Place(router, home, away)
        router.close()


@pytest.mark.parametrize("dialect", [OPENAI, OLLAMA, ANTHROPIC], ids=lambda dialect: dialect.name)
def test_threads_with_a_loop_each_get_the_local_answer(dialect: Dialect) -> None:
    """Eight threads meet in a cold router, and again in a warm one: every answer is local, none failed."""
    meeting = threading.Barrier(THREADS)

    async def calls(router: ModelRouter) -> list[str]:
        answers = await asyncio.gather(*(router.select_and_invoke(TASK, HELLO) for _ in range(3)))
        async for piece in router.stream(TASK, HELLO):
            if piece["result"]:
                answers.append(piece["result"])
        return [answer["provider"] for answer in answers]

    def in_a_thread(router: ModelRouter) -> list[str]:
        meeting.wait()
        return asyncio.run(calls(router)) + asyncio.run(calls(router))

    with place(dialect) as there, ThreadPoolExecutor(THREADS) as threads:
        told = [threads.submit(in_a_thread, there.router) for _ in range(THREADS)]
        assert {"home"} == {provider for one in told for provider in one.result()}
        assert there.away.received == []


async def test_a_module_that_another_thread_is_importing_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that stands in `sys.modules` before its body has ended is not taken half made."""
    begun, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(sys, "slow_module_of_a_test", (begun, go_on), raising=False)
    (tmp_path / "slow_to_import.py").write_text(
        "import sys\nbegun, go_on = sys.slow_module_of_a_test\nbegun.set()\ngo_on.wait()\nmade = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    other = threading.Thread(target=lambda: __import__("slow_to_import"))
    other.start()
    await asyncio.to_thread(begun.wait)
    assert "slow_to_import" in sys.modules
    waiting = asyncio.ensure_future(imported("slow_to_import"))
    done, _ = await asyncio.wait((waiting,), timeout=0.05)
    assert not done
    go_on.set()
    assert (await waiting).made
    other.join()


async def test_an_opening_that_failed_is_tried_again() -> None:
    """The first failure is its caller's; the next call opens, and the one after it opens nothing more."""
    openings: list[str] = []

    async def make() -> str:
        openings.append("tried")
        if len(openings) == 1:
            raise OSError("not yet")
        return "open"

    async def close(value: str) -> None:
        openings.append("closed")

    connections = LoopLocal(make, close)
    with pytest.raises(OSError, match="not yet"):
        await connections.opened()
    assert [await connections.opened(), await connections.opened()] == ["open", "open"]
    await connections.aclose()
    assert openings == ["tried", "tried", "closed"]


def test_a_value_is_closed_in_the_loop_it_was_made_in() -> None:
    """Each loop has its own, which closes in that loop: at its end, or when another thread closes all."""
    made: list[Any] = []
    closed: list[bool] = []

    async def make() -> object:
        made.append(asyncio.get_running_loop())
        return made[-1]

    async def close(value: object) -> None:
        closed.append(value is asyncio.get_running_loop())

    async def open_here() -> None:
        await connections.opened()

    async def open_and_close_from_another_thread() -> None:
        await connections.opened()
        await asyncio.to_thread(lambda: asyncio.run(connections.aclose()))

    connections = LoopLocal(make, close)
    asyncio.run(open_here())
    asyncio.run(open_and_close_from_another_thread())
    assert (len(made), closed) == (2, [True, True])


def test_asyncio_run_for_each_call_leaves_no_socket_behind() -> None:
    """As many files are open after ten loops as after one."""

    async def call() -> None:
        await there.router.select_and_invoke(TASK, HELLO)

    def open_files() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    give_up_at = time.monotonic() + GUARD_S
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("this system does not list a process's open files")
    with place() as there:
        asyncio.run(call())
        after_one = open_files()
        for _ in range(9):
            asyncio.run(call())
        # The other ends are this process's too, and their server closes them in its own time.
        while open_files() > after_one and time.monotonic() < give_up_at:
            time.sleep(0.01)
        assert open_files() <= after_one


def test_the_synchronous_face_answers_and_streams() -> None:
    """`invoke` gives what `select_and_invoke` gives, `stream_sync` the pieces; connections are kept."""
    with place() as there, there.router as router:
        for _ in range(3):
            assert router.invoke(TASK, HELLO, max_tokens=5)["content"] == TEXT
        assert there.home.connections == 1
        pieces = list(router.stream_sync(TASK, HELLO))
        assert TEXT == "".join(piece["content"] for piece in pieces) == pieces[-1]["result"]["content"]


def test_the_synchronous_face_raises_what_the_other_raises() -> None:
    """An error comes out as it is, and the router goes on; a stream that is dropped is closed."""
    with place() as there:
        with pytest.raises(EngineError, match="max_tokens"):
            there.router.invoke(TASK, HELLO, max_tokens=0)
        pieces = there.router.stream_sync(TASK, HELLO)
        assert next(pieces)["content"]
        pieces.close()  # type: ignore[attr-defined]
        assert there.router.invoke(TASK, HELLO)["provider"] == "home"


def test_the_synchronous_face_shows_no_prompt() -> None:
    """A traceback with the locals of our frames holds nothing of what was asked."""
    words = "canary words that nobody may see"
    with place() as there:
        for call in (
            there.router.invoke,
            lambda *given, **named: list(there.router.stream_sync(*given, **named)),
        ):
            with pytest.raises(EngineError) as failed:
                call(TASK, [{"role": "user", "content": words}], max_tokens=0)
            told = traceback.TracebackException.from_exception(failed.value, capture_locals=True)
            ours = [frame for frame in told.stack if "/engine/" in frame.filename]
            assert len(ours) > 1
            assert not [frame for frame in ours if words in str(frame.locals)]


def test_a_stream_that_is_dropped_is_closed() -> None:
    """Who leaves a stream without closing it leaves no call under way."""
    with place() as there:
        pieces = there.router.stream_sync(TASK, HELLO)
        next(pieces)
        del pieces
        gc.collect()
        assert there.router._shared.slots.taken("home") == 0


async def test_the_synchronous_face_works_inside_an_event_loop() -> None:
    """A notebook calls it where a loop runs already."""
    with place() as there:
        assert there.router.invoke(TASK, HELLO)["content"] == TEXT


async def test_the_synchronous_face_refuses_to_wait_for_itself() -> None:
    """Called from its own loop it would never end."""

    async def again() -> Any:
        return there.router.invoke(TASK, HELLO)

    with place() as there, pytest.raises(RuntimeError, match="wait for itself"):
        there.router.loop_thread.run(again())


def test_the_thread_of_the_synchronous_face_ends_with_the_router() -> None:
    """A router that is dropped leaves no thread behind."""
    with place() as there:
        there.router.invoke(TASK, HELLO)
        names = [thread for thread in threading.enumerate() if thread.name == "engine-calls"]
        assert len(names) == 1
        there.router.close()
        assert not names[0].is_alive()


def test_a_turn_goes_past_a_loop_that_has_ended() -> None:
    """Who waited in a loop that is closed gets no turn, and breaks nobody else's call."""
    slots = Slots(lambda: None)
    ended = asyncio.new_event_loop()

    async def take() -> bool:
        return await slots.take("home", 1, 60.0)

    assert asyncio.run(take())
    waiting = ended.create_task(take())
    ended.call_soon(ended.call_soon, ended.stop)
    ended.run_forever()
    ended.close()
    assert not waiting.done()
    slots.give_back("home")
    assert asyncio.run(take())

"""A router that was used before its process forked: every call of every child is answered.

`multiprocessing` is always here; gunicorn with FastAPI, and Celery, in an environment of their own:

    python -m venv forks && . forks/bin/activate
    pip install -e '.[dev]' gunicorn fastapi uvicorn uvicorn-worker celery
    python -m pytest tests/execution/test_forks.py
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine import ModelRouter, TaskProfile
from engine.forks import after_fork

from ..providers.dialects import MODEL, OPENAI
from ..providers.wire_server import WireServer
from .local_servers import served_by_a_thread
from .worlds import BALANCED, HELLO, catalogue, cloud, local
from .worlds import model as listed

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
ROOT = Path(__file__).parents[2]
GUARD_S = 120.0
"""A test that hangs ends after so many seconds; none is judged by it."""

ROUTER: ModelRouter | None = None


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WireServer]:
    """A policy folder in force, whose chain is a healthy local server and this one in the cloud."""
    with served_by_a_thread(OPENAI) as home, served_by_a_thread(OPENAI) as far:
        models = catalogue(
            home=local(listed(MODEL), api="openai", base_url=f"{home.url}/v1"),
            away=cloud(listed("far", price=1.0), base_url=f"{far.url}/v1", api_key_env="K"),
        )
        folder = tmp_path / "policy"
        folder.mkdir()
        (folder / "models.yaml").write_text(models)
        (folder / "policies.yaml").write_text(BALANCED)
        (folder / "main.route").write_text(f'route r: use "{MODEL}", then "far"\n')
        monkeypatch.setenv("ENGINE_CONFIG_DIR", str(folder))
        monkeypatch.setenv("K", "sk-far")
        yield far


def _ask(number: int) -> dict[str, Any]:
    from .forked_apps import asked

    return asked(in_a_loop_of_its_own=number % 2 == 0)


def _judged(told: list[dict[str, Any]], away: WireServer, least_processes: int) -> None:
    assert {one["by"] for one in told} == {"home"}
    assert all(one["in_time"] for one in told)
    assert os.getpid() not in {one["pid"] for one in told}
    assert len({one["pid"] for one in told}) >= least_processes
    assert away.prompts() == []


def test_what_begins_again_in_a_child() -> None:
    """A child runs what was registered; its parent does not."""

    class Owner:
        begun = 0

        def again(self) -> None:
            self.begun += 1

    owner = Owner()
    after_fork(owner, Owner.again)
    child = os.fork()
    if child == 0:
        os._exit(owner.begun)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert owner.begun == 0


def test_a_pool_of_processes(away: WireServer) -> None:
    """Forty calls of four children, in a loop each or over the synchronous face; the parent goes on."""
    from . import forked_apps

    with multiprocessing.get_context("fork").Pool(4) as pool:
        told = pool.map_async(_ask, range(40), chunksize=1).get(GUARD_S)
    _judged(told, away, 1)
    assert forked_apps.asked()["by"] == "home"
    forked_apps.router.close()


def test_children_forked_in_the_middle_of_calls(away: WireServer) -> None:
    """Locks may be held, and calls be under way, in other threads at the moment of a fork."""
    router = ModelRouter()

    def calls() -> None:
        for _ in range(40):
            router.invoke(TaskProfile("qa"), HELLO)

    with ThreadPoolExecutor(4) as threads:
        busy = [threads.submit(calls) for _ in range(4)]
        codes = []
        for _ in range(8):
            child = os.fork()
            if child == 0:
                signal.alarm(int(GUARD_S))
                answer = router.invoke(TaskProfile("qa"), HELLO, deadline_s=60.0)
                os._exit(0 if answer["provider"] == "home" else 1)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        for one in busy:
            one.result()
    assert codes == [0] * 8
    assert away.prompts() == []
    router.close()


@contextmanager
def _program(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT) as running:
        try:
            yield running
        finally:
            running.terminate()
            running.wait(GUARD_S)


def _until(running: subprocess.Popen[bytes], is_there: Path) -> None:
    give_up_at = time.monotonic() + GUARD_S
    while not is_there.exists():
        assert running.poll() is None, "it ended"
        assert time.monotonic() < give_up_at, "it never came up"
        time.sleep(0.05)


def test_gunicorn_with_preload(away: WireServer, tmp_path: Path) -> None:
    """Three workers behind FastAPI answer forty calls, awaited and synchronous."""
    for package in ("gunicorn", "fastapi", "uvicorn_worker"):
        pytest.importorskip(package)
    import httpx2

    socket = tmp_path / "web.sock"
    with _program(
        *("gunicorn", "--preload", "--workers", "3", "--worker-class", "uvicorn_worker.UvicornWorker"),
        *("--bind", f"unix:{socket}", "tests.execution.forked_apps:web()"),
    ) as running:
        _until(running, socket)

        def get(number: int) -> dict[str, Any]:
            transport = httpx2.HTTPTransport(uds=str(socket))
            with httpx2.Client(transport=transport, timeout=GUARD_S, trust_env=False) as client:
                found = client.get(f"http://web/{('async', 'sync')[number % 2]}")
            return dict(json.loads(found.content))

        with ThreadPoolExecutor(8) as threads:
            told = list(threads.map(get, range(40)))
    _judged(told, away, 1)


def test_celery_prefork(away: WireServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three forked workers of a queue answer forty tasks."""
    celery = pytest.importorskip("celery")
    for name in ("tasks", "control", "results"):
        (tmp_path / "queue" / name).mkdir(parents=True)
    monkeypatch.setenv("QUEUE_FOLDER", str(tmp_path / "queue"))
    with _program(
        *("celery", "--app", "tests.execution.forked_apps:tasks", "worker", "--pool", "prefork"),
        *("--concurrency", "3", "--without-gossip", "--without-mingle", "--without-heartbeat"),
    ):
        client = celery.Celery("forked", broker="filesystem://", backend=f"file://{tmp_path}/queue/results")
        folder = str(tmp_path / "queue" / "tasks")
        client.conf.broker_transport_options = {
            "data_folder_in": folder,
            "data_folder_out": folder,
            "control_folder": str(tmp_path / "queue" / "control"),
        }
        results = [client.send_task("ask", (number,)) for number in range(40)]
        told = [result.get(timeout=GUARD_S) for result in results]
    _judged(told, away, 1)

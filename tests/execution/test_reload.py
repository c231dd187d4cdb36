"""Hot reload: whole or not at all, under load, and a bad folder changes nothing."""

from __future__ import annotations

import asyncio
import random
import threading
from decimal import Decimal
from pathlib import Path

import pytest

from engine.budget import Limits
from engine.model_router import ModelRouter
from engine.providers.scripted import Answer, ScriptedProvider
from engine.task_profiles import TaskProfile

from .worlds import HELLO, catalogue, cloud, local, model

TASK = TaskProfile("qa")
MODELS = catalogue(house=local(model("l1"), model("l2")), far=cloud(model("c1", price=1.0)))
POLICIES = "routing: {default_mode: balanced}\nbudgets: {daily: {total_usd: 5}}\n"
BAD = (
    "route : use any\n",
    "forbid x: cloud whenn mode is balanced\n",
    'route r: use "no such model"\n',
    "route r: use any\nroute r: use any\n",
    "\0",
    "prefer p: local by -5\n",
)


def _write(folder: Path, chosen: str, policies: str = POLICIES) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "models.yaml").write_text(MODELS)
    (folder / "policies.yaml").write_text(policies)
    (folder / "main.route").write_text(f'route r: use "{chosen}"\n')


def _router(folder: Path) -> ModelRouter:
    return ModelRouter(folder, providers=ScriptedProvider, dry_run=False)


def test_a_changed_folder_is_put_in_force_whole(tmp_path: Path) -> None:
    """And an unchanged one is not even built."""
    _write(tmp_path / "p", "l1")
    router = _router(tmp_path / "p")
    before = router.policy
    assert router.reload().error is None
    assert router.policy is before
    _write(tmp_path / "p", "l2")
    status = router.reload()
    assert status.error is None
    assert status.candidate is None
    assert router.plan(TASK).model.model_id == "l2"
    assert status.running == router.reload_status.running != ""


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_folder_changes_nothing_and_is_said(bad: str, tmp_path: Path) -> None:
    """The running policy stays; the status names the candidate and its error, and recovers when the folder
    does."""
    _write(tmp_path / "p", "l1")
    router = _router(tmp_path / "p")
    running = router.reload_status.running
    (tmp_path / "p" / "main.route").write_text(bad)
    status = router.reload()
    assert status.running == running
    assert status.error
    assert status.candidate != running
    assert router.plan(TASK).model.model_id == "l1"
    assert router.reload() is status, "told once, with the time it began"
    _write(tmp_path / "p", "l1")
    assert router.reload().error is None


def test_a_folder_that_is_gone_changes_nothing(tmp_path: Path) -> None:
    """Neither does one without its catalogue."""
    _write(tmp_path / "p", "l1")
    router = _router(tmp_path / "p")
    (tmp_path / "p" / "models.yaml").unlink()
    assert router.reload().error
    assert router.plan(TASK).model.model_id == "l1"


def test_a_mode_in_force_that_is_gone_is_refused(tmp_path: Path) -> None:
    """The caller's mode must exist in the new policy too."""
    _write(tmp_path / "p", "l1")
    router = ModelRouter(tmp_path / "p", mode="performance", providers=ScriptedProvider, dry_run=False)
    only = "routing: {default_mode: a, modes: {a: {allow_cloud: false}}}\n"
    _write(tmp_path / "p", "l1", only)
    assert "performance" in (router.reload().error or "")
    assert router.plan(TASK).model.model_id == "l1"


def test_what_widens_is_listed_and_not_taken_unasked(tmp_path: Path) -> None:
    """A new cloud, an address, a guard that goes, a limit that rises; leaks apart from money."""
    _write(tmp_path / "p", "c1")
    (tmp_path / "p" / "guards.route").write_text("forbid g: cloud when task.labels has pii\n")
    router = _router(tmp_path / "p")
    (tmp_path / "p" / "guards.route").unlink()
    more = catalogue(
        house=local(model("l1"), model("l2"), networks=["192.168.7.0/24"]),
        far=cloud(model("c1", price=1.0)),
        new=cloud(model("c2", price=1.0)),
    )
    (tmp_path / "p" / "models.yaml").write_text(more)
    (tmp_path / "p" / "policies.yaml").write_text(POLICIES.replace("5", "50"))
    status = router.reload(allow_widen=False)
    told = "; ".join(status.widened)
    for part in (
        "new is a cloud provider",
        "house may be in more networks",
        "`c1` may get the task type=something-else labels=pii",
        "the daily limit is higher, $50 instead of $5",
    ):
        assert part in told
    assert status.judgement is not None
    assert (len(status.judgement.leaks), len(status.judgement.spending)) == (3, 1)
    assert status.error is not None
    assert "new" not in {model.provider for model in router.policy.catalogue.models}
    assert router.reload().error is None


WEAKENED = (
    ("has pii", "has all [pii, secret]"),
    ("has any [pii, secret]", "has pii"),
    ("has pii", "has pii and task.type is code"),
    ("has pii", "has pii unless task.criticality is high"),
    ("has pii or task.type is code", "has pii"),
)


@pytest.mark.parametrize(("before", "after"), WEAKENED)
async def test_watch_takes_no_guard_that_is_weakened(before: str, after: str, tmp_path: Path) -> None:
    """Its name stands where it stood, and a task it kept home would go out."""
    folder = tmp_path / "p"
    _write(folder, "c1")
    (folder / "guards.route").write_text(f"forbid g: cloud when task.labels {before}\n")
    router = _router(folder)
    running = router.reload_status.running
    (folder / "guards.route").write_text(f"forbid g: cloud when task.labels {after}\n")
    watching = asyncio.create_task(router.watch(0.001))
    while router.reload_status.candidate is None and router.reload_status.running == running:
        await asyncio.sleep(0.001)
    watching.cancel()
    assert router.reload_status.running == running
    assert router.reload_status.judgement is not None
    assert router.reload_status.judgement.lets_more_out


def test_a_guard_that_is_written_otherwise_is_taken(tmp_path: Path) -> None:
    """Under another name, and twice: what it keeps home stays home."""
    folder = tmp_path / "p"
    _write(folder, "c1")
    (folder / "guards.route").write_text("forbid g: cloud when task.labels has any [pii, secret]\n")
    router = _router(folder)
    (folder / "guards.route").write_text(
        "forbid a: cloud when task.labels has secret\nrequire b: local when task.labels has pii\n"
    )
    status = router.reload(allow_widen=False)
    assert (status.error, status.widened) == (None, ())


async def test_no_reload_resets_usage(tmp_path: Path) -> None:
    """Budgets are known by id, not by the text that limits them."""
    _write(tmp_path / "p", "c1")
    async with _router(tmp_path / "p") as router:
        await router.select_and_invoke(TASK, HELLO)
        spent = router.get_usage_summary()["daily"]["spent_usd"]
        _write(tmp_path / "p", "c1", POLICIES.replace("5", "4"))
        assert router.reload().error is None
        summary = router.get_usage_summary()
        assert summary["daily"]["spent_usd"] == spent != "0.000000"
        assert summary["limits"][0]["limit_usd"] == "4.000000"
        assert router.ledger.limits == Limits(daily_usd=Decimal(4))


async def test_old_connections_close_with_their_last_request(tmp_path: Path) -> None:
    """A request under way keeps its provider open; the next one closes it."""
    made: list[ScriptedProvider] = []

    def make(target):  # type: ignore[no-untyped-def]
        made.append(ScriptedProvider(target, otherwise=Answer(pieces=("a ", "b "))))
        return made[-1]

    _write(tmp_path / "p", "l1")
    async with ModelRouter(tmp_path / "p", providers=make, dry_run=False) as router:
        pieces = router.stream(TASK, HELLO)
        await anext(pieces)
        _write(tmp_path / "p", "l2")
        router.reload()
        await router.select_and_invoke(TASK, HELLO)
        assert [provider.closed for provider in made] == [False, False]
        rest = [piece async for piece in pieces]
        assert rest[-1]["result"]["model"] == "l1"
        assert [provider.closed for provider in made] == [True, False]
    assert [provider.closed for provider in made] == [True, True]


def test_swaps_under_load_never_mix(tmp_path: Path) -> None:
    """Threads plan while policies, good and bad, come and go: each plan is wholly of one policy, and the
    running digest is always that of a good one."""
    folder = tmp_path / "p"
    _write(folder, "l1")
    router = _router(folder)
    good = {router.reload_status.running}
    stop, wrong = threading.Event(), list[object]()

    def plan() -> None:
        while not stop.is_set():
            explanation = router.plan(TASK).explanation
            (only,) = explanation.chain
            digest = explanation.to_json()["policy_digest"]
            if explanation.route is None or by_digest.get(digest, only.id) != only.id:
                wrong.append((digest, only.id))

    by_digest = {router.policy.folder.policy_digest: "l1"}
    _write(folder, "l2")
    router.reload()
    good.add(router.reload_status.running)
    by_digest[router.policy.folder.policy_digest] = "l2"
    threads = [threading.Thread(target=plan) for _ in range(8)]
    for thread in threads:
        thread.start()
    chance = random.Random(8)
    for number in range(60):
        if number % 3 == 0:
            (folder / "main.route").write_text(chance.choice(BAD))
            assert router.reload().error is not None
        else:
            _write(folder, chance.choice(["l1", "l2"]))
            assert router.reload().error is None
        assert router.reload_status.running in good
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


async def test_watching_takes_what_is_sound(tmp_path: Path) -> None:
    """`watch` reloads by itself and takes nothing that widens."""
    _write(tmp_path / "p", "l1")
    async with _router(tmp_path / "p") as router:
        watching = asyncio.create_task(router.watch(0.001))
        _write(tmp_path / "p", "l2")
        while router.plan(TASK).model.model_id != "l2":
            await asyncio.sleep(0.001)
        (tmp_path / "p" / "policies.yaml").write_text(POLICIES.replace("5", "500"))
        while router.reload_status.error is None:
            await asyncio.sleep(0.001)
        assert "daily limit" in router.reload_status.error
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching

"""The decision log: valid against its schema, enough to decide again, evidence against tampering, no content,
rotated."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from engine.bundled import bundled_text
from engine.decision.evaluator import Evaluator
from engine.decision.explanation import Explainer
from engine.decision.facts import Facts, FactsWithSources
from engine.errors import EngineError
from engine.execution.decision_log import (
    DecisionLog,
    decision_json,
    facts_json,
    facts_of,
    log_files,
    read_records,
    verify,
)
from engine.providers.conduct import ErrorClass
from engine.providers.errors import BY_CLASS
from engine.providers.scripted import Answer, Fault
from engine.task_profiles import TaskProfile

from .test_conducts import Virtually
from .worlds import HELLO, policy_of, world

VALIDATOR = Draft202012Validator(json.loads(bundled_text("schemas", "decision-log.schema.json")))


def _records(folder: Path) -> list[dict[str, Any]]:
    records = [record for path in log_files(folder) for record in read_records(path)]
    assert all(isinstance(record, dict) for record in records)
    return records  # type: ignore[return-value]


def test_every_request_leaves_one_valid_line(virtually: Virtually, tmp_path: Path) -> None:
    """Answered, failed, refused, cancelled: each is one record, valid against the schema, and the chain of
    hashes holds."""

    async def main(folder: Path) -> None:
        kinds = list(BY_CLASS.values())
        chance = random.Random(2)
        acts = {
            name: (lambda _: Fault(chance.choice(kinds)()) if chance.random() < 0.6 else Answer("ok"))
            for name in ("east", "west", "ollama")
        }
        place = world(folder, acts)
        for number in range(80):
            task = TaskProfile(
                "qa", criticality=chance.choice(["low", "critical"]), labels=["a", "b"][: number % 3]
            )
            try:
                if number % 2:
                    await place.router.select_and_invoke(task, HELLO)
                else:
                    async for _ in place.router.stream(task, HELLO):
                        pass
            except EngineError:
                continue
        pieces = place.router.stream(TaskProfile("qa"), HELLO)
        with suppress(EngineError):
            await anext(pieces)
        await pieces.aclose()
        await place.router.aclose()

    virtually(main)
    records = _records(tmp_path / "state")
    assert len(records) == 81
    for record in records:
        VALIDATOR.validate(record)
    assert {record["outcome"] for record in records} >= {"answered", "failed"}
    assert verify(tmp_path / "state") == []


def test_a_record_decides_again_the_same(virtually: Virtually, tmp_path: Path) -> None:
    """From the record's facts, the policy of its digest gives its chain, route, path, scores and blockers
    again."""
    policy = policy_of()

    async def main(folder: Path) -> None:
        chance = random.Random(9)
        place = world(folder, {"east": lambda _: Fault(BY_CLASS[ErrorClass.UNKNOWN]())})
        for number in range(60):
            task = TaskProfile(
                chance.choice(["qa", "planning", "a type nobody knows"]),
                criticality=chance.choice(["low", "medium", "high", "critical"]),
                labels=chance.sample(["pii", "ünïcode", "x y"], chance.randrange(3)),
                key=chance.choice([None, f"tenant {number}"]),
            )
            await place.router.select_and_invoke(task, HELLO, max_tokens=chance.choice([10, 9_000]))
        await place.router.aclose()

    virtually(main)
    for record in _records(tmp_path / "state"):
        _decides_again(record, policy)
    assert len(_records(tmp_path / "state")) == 60


def _decides_again(record: dict[str, Any], policy: Any) -> None:
    assert record["policy_digest"] == policy.folder.policy_digest
    facts = facts_of(record, policy.names)
    explanation = Explainer(Evaluator(policy.compiled), policy.tree).explain(FactsWithSources(facts, {}))
    again = decision_json(explanation, policy.folder)
    assert {name: record[name] for name in again} == again


def test_facts_survive_exactly() -> None:
    """A percentage a hair below a threshold stays below it: nothing is rounded on its way through the log."""
    names = policy_of().names
    chance = random.Random(4)
    for _ in range(1_000):
        facts = Facts(
            "qa",
            budget_daily_used=Decimal(chance.randrange(200 * 10**6)).scaleb(-6),
            budget_monthly_used=Decimal("99.999999"),
            provider_down=frozenset(chance.sample(["east", "west", "ollama"], chance.randrange(4))),
            mode="balanced",
            bucket=chance.randrange(100),
        )
        record = json.loads(json.dumps({"facts": facts_json(facts)}))
        assert facts_of(record, names) == facts


def _log(folder: Path, lines: int = 12, **more: Any) -> DecisionLog:
    log = DecisionLog(folder, **more)
    for number in range(lines):
        log.append({"decision_id": f"d{number}", "facts": {"n": number}})
    return log


def _edit(lines: list[bytes]) -> list[bytes]:
    return [*lines[:5], lines[5].replace(b'"n":5', b'"n":6'), *lines[6:]]


TAMPERINGS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "edited": _edit,
    "deleted": lambda lines: lines[:5] + lines[6:],
    "reordered": lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]],
    "inserted": lambda lines: [*lines[:5], lines[2], *lines[5:]],
    "tail cut": lambda lines: lines[:-3],
    "head cut": lambda lines: lines[3:],
    "all gone": lambda lines: [],
    "half a line": lambda lines: [*lines[:-1], lines[-1][:40]],
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_shows(name: str, tmp_path: Path) -> None:
    """Whatever is done to the lines alone."""
    log = _log(tmp_path)
    assert verify(tmp_path) == []
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join(TAMPERINGS[name](lines)))
    if name == "head cut":
        # What rotation deletes looks like this too; the lines that are left still follow each other.
        assert next(record["seq"] for record in _records(tmp_path)) == 4
        return
    assert verify(tmp_path) != []


def test_random_bytes_changed_show(tmp_path: Path) -> None:
    """One byte changed anywhere in a line is seen."""
    log = _log(tmp_path)
    whole = log.path.read_bytes()
    chance = random.Random(1)
    for _ in range(400):
        place = chance.randrange(len(whole))
        changed = bytes([whole[place] ^ chance.choice([1, 2, 4, 8, 16, 32])])
        if whole[place : place + 1] == b"\n" or changed == b"\n":
            continue
        log.path.write_bytes(whole[:place] + changed + whole[place + 1 :])
        assert verify(tmp_path) != [], (place, changed)


def test_it_rotates_by_size_and_keeps_its_chain(tmp_path: Path) -> None:
    """Files are put aside under their first line's number, the oldest are deleted, and what is left still
    verifies."""
    _log(tmp_path, 400, most_bytes=4_000, most_files=4)
    files = log_files(tmp_path)
    assert 3 <= len(files) <= 4
    assert all(path.stat().st_size < 5_000 for path in files)
    assert _records(tmp_path)[-1]["seq"] == 400
    assert verify(tmp_path) == []


def test_several_writers_share_one_chain(tmp_path: Path) -> None:
    """Writers in threads and logs opened anew: every line follows the one before it."""
    import threading

    def write(name: str) -> None:
        log = DecisionLog(tmp_path)
        for number in range(50):
            log.append({"decision_id": f"{name}-{number}"})

    threads = [threading.Thread(target=write, args=(f"t{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [record["seq"] for record in _records(tmp_path)] == list(range(1, 201))
    assert verify(tmp_path) == []


def test_a_crash_between_line_and_head_heals(tmp_path: Path) -> None:
    """The next line follows the last one that was written whole."""
    log = _log(tmp_path, 3)
    head = (tmp_path / "decisions.head").read_bytes()
    log.append({"decision_id": "d3"})
    (tmp_path / "decisions.head").write_bytes(head)
    DecisionLog(tmp_path).append({"decision_id": "d4"})
    assert verify(tmp_path) == []


async def test_a_log_that_cannot_be_written_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said in the log of the program, and the answer comes."""
    from engine.model_router import ModelRouter
    from engine.providers.scripted import ScriptedProvider

    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("ENGINE_STATE_DIR", str(blocked / "below"))
    routes = "route r: use local\n"
    async with ModelRouter.of(policy_of(routes=routes), providers=ScriptedProvider, dry_run=False) as router:
        result = await router.select_and_invoke(TaskProfile("qa"), HELLO)
    assert result["provider"] == "ollama"
    assert "the decision log cannot be written" in caplog.text

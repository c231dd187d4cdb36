"""Rows in bulk are decided and charged as a plain loop over the evaluator does, money and windows
included."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from random import Random

import numpy as np
import polars as pl
import pytest

from engine.policy import Policy
from engine.replay.charges import Tokens, booked
from engine.replay.columns import columns_of
from engine.replay.encoding import Chunk
from engine.replay.simulation import Played, Simulation
from tests.bench import policies as bench
from tests.replay import worlds
from tests.replay.plain_loop import decided_one_by_one

START = datetime(2024, 1, 1, tzinfo=UTC)


def play(
    policy: Policy, frame: pl.DataFrame, chunk_rows: int, *, simulated: bool = True
) -> tuple[Simulation, list[Played]]:
    simulation = Simulation(policy, simulated=simulated)
    numeric = [name for name, kind in frame.schema.items() if kind.is_numeric()]
    columns = columns_of(frame.columns, numeric, [], [model.key for model in simulation.models])
    played = []
    for first in range(0, frame.height, chunk_rows):
        part = frame.slice(first, chunk_rows)
        chunk = Chunk(first, part.height, part, columns, START, policy.assumed.facts, {}, policy.names)
        played.append(simulation.play(chunk, Tokens(chunk, simulation.models)))
    return simulation, played


def compare(policy: Policy, made: list[dict[str, object]], frame: pl.DataFrame, chunk_rows: int) -> None:
    simulation, played = play(policy, frame, chunk_rows)
    keys = [*(model.key for model in simulation.models), None]
    chosen = [keys[place] for part in played for place in part.chosen.tolist()]
    costs = np.concatenate([booked(part.exact) for part in played]).tolist()
    wanted = decided_one_by_one(policy, made)
    assert [model for model, _, _ in wanted] == chosen
    assert [cost for _, cost, _ in wanted] == costs
    gone = [(account, row) for row, (_, _, accounts) in enumerate(wanted) for account in accounts]
    assert sorted(gone) == sorted((one.account, one.row) for one in simulation.exhaustions)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize("chunk_rows", [10_000, 700])
def test_as_a_plain_loop_with_every_budget_in_play(zone: str, chunk_rows: int) -> None:
    """Days, months, providers, percentages on both sides of an edge, clocks that go back, in chunks of any
    size."""
    made = worlds.rows(6_000, seed=len(zone) + chunk_rows)
    compare(worlds.policy(zone), made, pl.DataFrame(worlds.as_log(made)), chunk_rows)


@pytest.mark.parametrize("seed", range(6))
def test_as_a_plain_loop_under_generated_rules(seed: int) -> None:
    """Policies of 40 to 200 rules of all kinds that ask for budgets, hours, labels and sizes."""
    rng = Random(seed)
    policy = bench.policy(rng.choice([40, 100, 200]), seed)
    made: list[dict[str, object]] = []
    now = 1_700_000_000
    for facts in bench.facts(2_500, seed):
        now += rng.randrange(0, 300)
        made.append(
            {
                "time": now,
                "input": facts.context_size // 2,
                "output": rng.randrange(0, 2_000),
                "task_type": facts.task_type,
                "criticality": facts.criticality,
                "mode": facts.mode,
                "labels": facts.labels,
                "tool_use_required": facts.tool_use_required,
                "bucket": facts.bucket,
            }
        )
    rows = [{**row, "mode": source["mode"]} for row, source in zip(worlds.as_log(made), made, strict=True)]
    compare(policy, made, pl.DataFrame(rows), 2_500)


def test_a_hundred_thousand_rows_or_ten() -> None:
    """A log of 10,000 rows, which takes the paths for long logs (tables, flags, long stretches), is decided
    alike."""
    made = worlds.rows(12_000, seed=9, step_s=30)
    compare(worlds.policy(), made, pl.DataFrame(worlds.as_log(made)), 12_000)


def test_a_limit_of_zero_is_used_up_before_the_first_call() -> None:
    """A provider with a limit of zero is never paid in a replay."""
    made = worlds.rows(500, seed=3)
    _, played = play(worlds.policy(), pl.DataFrame(worlds.as_log(made)), 500)
    models = [model.key for model in worlds.policy().catalogue.models]
    assert not (np.concatenate([part.chosen for part in played]) == models.index("luna")).any()


def test_what_the_window_needs_is_prompt_and_reply(tmp_path: Path) -> None:
    """Without a column for it, `task.context_size` is the sum of both: the reply too must fit."""
    frame = pl.DataFrame(
        {"type": ["chat", "chat"], "input_tokens": [8_000, 8_000], "output_tokens": [192, 193]}
    )
    policy = worlds.policy(routes="route only: use small, then big")
    _, played = play(policy, frame, 10)
    assert [policy.catalogue.models[place].key for place in played[0].chosen.tolist()] == ["small", "big"]


def test_ten_thousand_rows_of_the_bench_are_decided_alike() -> None:
    """The replay that `tests.bench.bench_replay` times is right: 200 rules, diverse rows, budgets in play."""
    from tests.bench.bench_replay import log_frame, same_decisions

    assert same_decisions(bench.policy(200), log_frame(10_000)) == 0


def test_refusals_are_counted_as_explanations_tell_them() -> None:
    """Each rule's rows are those in whose explanation it blocks a model of the route."""
    from engine.decision.explanation import Explanation
    from engine.decision.facts import FactsWithSources
    from engine.replay.explanations import Refusals

    policy = bench.policy(120, 4)
    facts = bench.facts(400, 11)
    frame = pl.DataFrame(
        {
            "task_type": [one.task_type for one in facts],
            "criticality": [one.criticality for one in facts],
            "mode": [one.mode for one in facts],
            "labels": [",".join(sorted(one.labels)) for one in facts],
            "context_size": [one.context_size for one in facts],
            "tool_use_required": [one.tool_use_required for one in facts],
        }
    )
    simulation, (played,) = play(policy, frame, 400, simulated=False)
    refused = np.flatnonzero(played.chosen == -1)
    assert len(refused) > 20
    wanted: dict[str, int] = {}
    for row in refused.tolist():
        one = facts[row]
        given = policy.assumed.facts._replace(
            task_type=one.task_type,
            criticality=one.criticality,
            mode=one.mode,
            labels=one.labels,
            context_size=one.context_size,
            tool_use_required=one.tool_use_required,
        )
        explanation: Explanation = policy.explainer.explain(FactsWithSources(given, {}))
        for rule in {rule.name for candidate in explanation.candidates for rule in candidate.blockers}:
            wanted[rule] = wanted.get(rule, 0) + 1
    refusals = Refusals(simulation)
    refusals.add(played, refused)
    # Every route of this policy uses local, then cloud: its tiers hold all models.
    assert {reason.rule: count for reason, count in refusals.counted()} == wanted

"""A million rows replayed in bulk, against a plain loop over `plan`: rows per second in one run, and the same
decisions.

python -m tests.bench.bench_replay [ROWS]

The rows are synthetic, seeded and diverse (40 task types, 60 labels in hundreds of combinations, sizes,
hours, modes, budgets in play); the policy has 200 rules. Both start from the same file. The loop reads it
with the standard library, builds a TaskProfile a row, and asks a router whose clock stands at the row's time;
it has no money to follow, so it is spared the work of a ledger.
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import polars as pl

from engine import ModelRouter, TaskProfile
from engine.model_router import NoEligibleModel
from engine.policy import Policy
from engine.replay.charges import Tokens, booked
from engine.replay.columns import columns_of
from engine.replay.encoding import Chunk
from engine.replay.report import Options, replay
from engine.replay.simulation import Simulation
from tests.bench.policies import CRITICALITIES, LABELS, TYPES, policy
from tests.replay.plain_loop import decided_one_by_one

ROWS = 1_000_000
LOOP_ROWS = 30_000
COMPARED = 100_000
START = datetime(2024, 1, 1, tzinfo=UTC)


def log_frame(rows: int, seed: int = 1) -> pl.DataFrame:
    """Rows of a log, in time order."""
    rng = np.random.default_rng(seed)
    draw = Random(seed)
    labels = [",".join(sorted(draw.sample(LABELS, draw.choice([0, 0, 0, 1, 1, 2])))) for _ in range(400)]
    return pl.DataFrame(
        {
            "time": 1_700_000_000 + np.cumsum(rng.integers(0, 6, rows)),
            "task_type": np.array(TYPES)[rng.integers(0, len(TYPES), rows)],
            "criticality": np.array(CRITICALITIES)[rng.integers(0, 4, rows)],
            "labels": np.array(labels)[rng.integers(0, len(labels), rows)],
            "tool_use_required": rng.random(rows) < 0.3,
            "input_tokens": np.minimum(rng.lognormal(7.5, 1.4, rows), 200_000).astype(np.int64),
            "output_tokens": np.minimum(rng.lognormal(5.5, 1.0, rows), 8_000).astype(np.int64),
        }
    )


def loop_rows_per_second(router: ModelRouter, clock: list[datetime], path: Path, rows: int) -> float:
    """A plain loop: read, build a profile, plan, count."""
    counted: Counter[str] = Counter()
    with path.open(encoding="utf-8", newline="") as lines:
        began = time.perf_counter()
        for number, row in enumerate(csv.DictReader(lines)):
            if number == rows:
                break
            clock[0] = datetime.fromtimestamp(int(row["time"]), UTC)
            task = TaskProfile(
                row["task_type"],
                criticality=row["criticality"],
                context_size=int(row["input_tokens"]) + int(row["output_tokens"]),
                tool_use_required=row["tool_use_required"] == "true",
                labels=row["labels"].split(",") if row["labels"] else (),
            )
            try:
                counted[router.plan(task).model.model_id] += 1
            except NoEligibleModel:
                counted["refused"] += 1
        return rows / (time.perf_counter() - began)


def same_decisions(chosen_policy: Policy, frame: pl.DataFrame) -> int:
    """How many rows differ from a loop over the evaluator with a dictionary for a ledger, in model or in
    money."""
    simulation = Simulation(chosen_policy)
    numeric = [name for name, kind in frame.schema.items() if kind.is_numeric()]
    columns = columns_of(frame.columns, numeric, [], [])
    chunk = Chunk(
        0, frame.height, frame, columns, START, chosen_policy.assumed.facts, {}, chosen_policy.names
    )
    played = simulation.play(chunk, Tokens(chunk, simulation.models))
    keys = [*(model.key for model in simulation.models), None]
    bulk = zip([keys[place] for place in played.chosen.tolist()], booked(played.exact).tolist(), strict=True)
    one_by_one = decided_one_by_one(chosen_policy, map(_plain, frame.iter_rows(named=True)))
    return sum(one != (model, cost) for one, (model, cost, _) in zip(bulk, one_by_one, strict=True))


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "time": row["time"],
        "input": row["input_tokens"],
        "output": row["output_tokens"],
        "task_type": row["task_type"],
        "criticality": row["criticality"],
        "tool_use_required": row["tool_use_required"],
        "labels": frozenset(name for name in row["labels"].split(",") if name),
    }


def main(rows: int = ROWS) -> None:
    chosen_policy = policy(200)
    clock = [START]
    router = ModelRouter.of(chosen_policy, clock=lambda: clock[0], dry_run=True)
    frame = log_frame(rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.csv"
        frame.write_csv(path)
        loop = loop_rows_per_second(router, clock, path, LOOP_ROWS)
        began = time.perf_counter()
        report = replay(path, [("bench", chosen_policy)], Options((), {}, START))
        bulk = rows / (time.perf_counter() - began)
        loop = (loop + loop_rows_per_second(router, clock, path, LOOP_ROWS)) / 2
    print(f"{report.rows:,} rows, {len(chosen_policy.compiled.rules)} rules with the engine's own")
    print(f"a plain loop over plan: {loop:12,.0f} rows a second")
    print(f"engine replay:          {bulk:12,.0f} rows a second")
    print(f"ratio:                  {bulk / loop:12.1f}   >= 20")
    print(
        f"rows decided otherwise: {same_decisions(chosen_policy, frame.head(COMPARED)):12,}   0 of "
        f"{min(rows, COMPARED):,}"
    )


if __name__ == "__main__":
    main(int(sys.argv[1].replace("_", "")) if len(sys.argv) > 1 else ROWS)

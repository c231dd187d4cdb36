"""`engine replay` as people use it: formats, mappings, two policies, JSON, and its errors."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import polars as pl
import pytest

from engine.cli import main
from tests.replay import worlds
from tests.replay.plain_loop import decided_one_by_one

COUNT = 800
SCHEMAS = Path(__file__).parents[2] / "schemas"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return worlds.write_folder(tmp_path / "policy")


@pytest.fixture
def frame() -> pl.DataFrame:
    return pl.DataFrame(worlds.as_log(worlds.rows(COUNT, seed=5)))


def replay(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    assert main(["replay", *words, "--format", "json"]) == code
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    jsonschema.validate(report, json.loads((SCHEMAS / "replay.schema.json").read_text(encoding="utf-8")))
    return report


def test_every_format_says_the_same(
    folder: Path, frame: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """CSV, JSON lines and Parquet of the same rows give the same report, labels as text or as lists."""
    frame.write_csv(tmp_path / "log.csv")
    lists = frame.with_columns(pl.col("labels").str.split(",").list.filter(pl.element() != ""))
    lists.write_ndjson(tmp_path / "log.jsonl")
    lists.write_parquet(tmp_path / "log.parquet")
    reports = [
        replay(capsys, str(tmp_path / name), "--config", str(folder))
        for name in ("log.csv", "log.jsonl", "log.parquet")
    ]
    for report in reports:
        del report["log"]["file"]
    assert reports[0] == reports[1] == reports[2]


def test_sums_are_those_of_the_rows(
    folder: Path, frame: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Calls and local share are those of a plain loop."""
    frame.write_csv(tmp_path / "log.csv")
    policy = replay(capsys, str(tmp_path / "log.csv"), "--config", str(folder))["policies"][0]
    wanted = [model for model, _, _ in decided_one_by_one(worlds.policy(), worlds.rows(COUNT, seed=5))]
    assert {m["model"]: m["calls"] for m in policy["models"]} == {
        model: wanted.count(model) for model in ("small", "big", "sonnet", "haiku", "luna")
    }
    assert policy["refused"] == wanted.count(None)


def test_the_same_policy_moves_nothing(
    folder: Path, frame: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A policy against itself: no row moves, no dollar differs."""
    frame.write_csv(tmp_path / "log.csv")
    report = replay(capsys, str(tmp_path / "log.csv"), "--config", str(folder), "--against", str(folder))
    assert report["moved"] == {"rows": 0, "usd_before": "0.00", "usd_after": "0.00", "groups": []}


def test_what_moves_names_the_rule_that_did_it(
    folder: Path, frame: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new guard is the reason of every row it moves, and all moved rows are counted once."""
    frame.write_csv(tmp_path / "log.csv")
    plenty = (
        worlds.SETTINGS.replace("1.50", "1000")
        .replace("4.00", "1000")
        .replace("0.90", "900")
        .replace("2.20", "900")
    )
    before = worlds.write_folder(tmp_path / "before", settings=plenty)
    after = worlds.write_folder(
        tmp_path / "after", worlds.ROUTES + "\nforbid chat-home: cloud when task.type is chat\n", plenty
    )
    report = replay(capsys, str(tmp_path / "log.csv"), "--config", str(before), "--against", str(after))
    groups = report["moved"]["groups"]
    assert groups
    assert all({"chat-home"} == {why["rule"] for why in group["because"]} for group in groups)
    assert sum(group["rows"] for group in groups) == report["moved"]["rows"]
    assert all(group["to"] in ("small", "big", None) for group in groups)


def test_refusals_are_told_with_their_rules(
    frame: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A route without a way out refuses, and the report says which rules blocked it, and how often."""
    folder = worlds.write_folder(tmp_path / "narrow", "route only: use small")
    frame.write_csv(tmp_path / "log.csv")
    policy = replay(capsys, str(tmp_path / "log.csv"), "--config", str(folder))["policies"][0]
    by_rule = {reason["rule"]: reason["rows"] for reason in policy["refused_by"]}
    too_long = frame.filter(pl.col("input_tokens") + pl.col("output_tokens") > 8192).height
    assert policy["refused"] == by_rule["context-window"] == too_long


def test_a_watched_guard_says_what_it_would_have_blocked(
    frame: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Replay counts the rows whose chosen model a watched guard would block, and lists a guard that would
    block none."""
    routes = (
        "forbid long-home (watch): cloud when task.context_size > 10k\n"
        "forbid never (watch): cloud when task.type is nothing-like-it\nroute only: use haiku\n"
    )
    settings = "routing:\n  default_mode: balanced\n"
    folder = worlds.write_folder(tmp_path / "watching", routes, settings)
    frame.write_csv(tmp_path / "log.csv")
    policy = replay(capsys, str(tmp_path / "log.csv"), "--config", str(folder))["policies"][0]
    long = frame.filter(pl.col("input_tokens") + pl.col("output_tokens") > 10_000).height
    assert [(guard["rule"], guard["rows"]) for guard in policy["watched"]] == [
        ("long-home", long),
        ("never", 0),
    ]
    assert policy["calls"] == COUNT


def test_the_oracle_takes_the_cheapest_of_the_best(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Right for free, right only for money, right nowhere: it pays once, and for the cheaper of two that are
    right."""
    (tmp_path / "log.csv").write_text(
        "type,input_tokens,small,haiku,sonnet\nqa,1000000,1,1,1\nqa,1000000,0,1,1\nqa,1000000,0,0,0\n",
        encoding="utf-8",
    )
    lines = replay(capsys, str(tmp_path / "log.csv"), "--config", str(folder))["lines"]
    (oracle,) = (line for line in lines if line["name"].startswith("oracle"))
    assert (oracle["usd"], oracle["score"]) == ("0.33", 0.666667)


def test_columns_and_facts_are_said(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--map` names columns, `--set` gives every row a fact, and a set fact stands before a column."""
    (tmp_path / "log.csv").write_text("kind,n,criticality\nplanning,10,low\nqa,20,low\n", encoding="utf-8")
    report = replay(
        capsys,
        *(str(tmp_path / "log.csv"), "--config", str(folder), "--map", "type=kind", "tokens.input=n"),
        *("--set", "criticality=critical"),
    )
    assert report["log"]["columns"] == {"task.type": "kind", "tokens.input": "n"}
    assert report["log"]["input_tokens"] == 30
    assert {m["model"]: m["calls"] for m in report["policies"][0]["models"]}["sonnet"] == 1


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        ("a\n1\n", [], r"--map task\.type=COLUMN, or --set task\.type=NAME"),
        ("type,n\nqa,1\n", ["--map", "tokens.inptu=n"], r"tokens\.inptu"),
        ("type,n\nqa,1\n", ["--map", "tokens.input=m"], r"no column 'm'"),
        ("type,n\nqa,1\n", ["--map", "tokens.input"], r"write FIELD=COLUMN"),
        ("type,criticality\nqa,hihg\n", [], r"criticality cannot be 'hihg'.*did you mean high"),
        ("type,input_tokens\nqa,-1\n", [], r"from 0 to"),
        ("type,input_tokens\nqa,many\n", [], r"whole number"),
        ("type,time\nqa,yesterday\n", [], r"is the time"),
        ("type\n", [], r"no rows"),
        ("type,n\nqa,1\n", ["--weak", "small"], r"given together"),
        ("type,n\nqa,1\n", ["--start", "noon"], r"no date"),
    ],
)
def test_what_does_not_fit_is_said(
    content: str,
    words: list[str],
    message: str,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A log that does not fit its mapping ends with 2 and a sentence that names the remedy."""
    (tmp_path / "log.csv").write_text(content, encoding="utf-8")
    assert main(["replay", str(tmp_path / "log.csv"), "--config", str(folder), *words]) == 2
    printed = capsys.readouterr()
    assert re.search(message, printed.err, re.DOTALL), printed.err
    assert printed.out == ""


def test_a_file_that_is_not_there_or_is_no_log(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback for either."""
    (tmp_path / "log.txt").write_text("x", encoding="utf-8")
    (tmp_path / "log.parquet").write_bytes(b"no parquet")
    for name in ("nothing.csv", "log.txt", "log.parquet"):
        assert main(["replay", str(tmp_path / name), "--config", str(folder)]) == 2
        assert name in capsys.readouterr().err


def test_the_text_is_the_same_each_time(
    folder: Path, frame: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing in a report depends on when or how often it is made."""
    scored = frame.with_columns(
        small=pl.Series([place % 3 / 2 for place in range(COUNT)]), sonnet=pl.lit(1.0)
    )
    scored.write_csv(tmp_path / "log.csv")
    texts = []
    for _ in range(2):
        assert main(["replay", str(tmp_path / "log.csv"), "--config", str(folder)]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert "PGR" in texts[0]


def test_a_decision_log_decides_as_it_did(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The facts of the engine's own log, budgets among them, lead to every decision again."""
    from engine.policy import load_or_raise

    policy = load_or_raise(folder)
    lines = []
    for number, row in enumerate(worlds.rows(200, seed=8)):
        facts = {
            "task.type": row["task_type"],
            "task.criticality": row["criticality"],
            "task.context_size": row["input"],
            "task.labels": sorted(row["labels"]),
            "task.tool_use_required": row["tool_use_required"],
            "budget.daily.used": f"{number}.5%",
            "budget.exhausted_providers": ["anthropic"] if number % 7 == 0 else [],
            "clock.hour": number % 24,
        }
        from engine.decision.facts import fact_named, read_json

        given = {name: read_json(fact_named(name), value, policy.names) for name, value in facts.items()}
        chain = policy.explain(given, {}).chain
        lines.append(
            json.dumps(
                {
                    "policy_digest": "sha256:0",
                    "facts": facts,
                    "chain": [model.key for model in chain],
                    "at": f"2026-01-01T00:{number % 60:02}:00+00:00",
                    "attempts": [{"input_tokens": 10, "output_tokens": 5}],
                    "request": {"expected_tokens": 9},
                }
            )
        )
    (tmp_path / "decisions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    report = replay(capsys, str(tmp_path / "decisions.jsonl"), "--config", str(folder))
    assert report["budgets"] == "recorded"
    assert all(move["from"] == move["to"] for move in report["policies"][0]["recorded"])
    assert sum(move["rows"] for move in report["policies"][0]["recorded"]) == 200
    assert report["log"]["input_tokens"] == 2000


async def test_the_routers_own_log_is_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log of a router in dry run, refusals included, is decided alike; its folder or its file may be
    named."""
    from engine import ModelRouter, TaskProfile
    from engine.model_router import NoEligibleModel

    monkeypatch.setenv("ENGINE_STATE_DIR", str(tmp_path / "state"))
    async with ModelRouter(folder, dry_run=True) as router:
        for number in range(12):
            task = TaskProfile(
                ["planning", "qa"][number % 2],
                criticality=["low", "critical"][number % 3 == 0],
                labels=["pii"] if number % 5 == 0 else [],
                context_size=[0, 40_000][number % 5 == 0],
            )
            with contextlib.suppress(NoEligibleModel):
                await router.select_and_invoke(task, [{"role": "user", "content": "hello"}], max_tokens=10)
    for log in (tmp_path / "state", tmp_path / "state" / "decisions.jsonl"):
        report = replay(capsys, str(log), "--config", str(folder))
        recorded = report["policies"][0]["recorded"]
        assert sum(move["rows"] for move in recorded) == 12
        assert all(move["from"] == move["to"] for move in recorded)
        assert report["policies"][0]["refused"] == 3


def test_chunks_do_not_change_the_answer(folder: Path, frame: pl.DataFrame, tmp_path: Path) -> None:
    """A log larger than memory is read in parts; the report is that of the whole, two policies, scores and
    moves included."""
    from datetime import UTC, datetime

    from engine.policy import load_or_raise
    from engine.replay.report import Options, replay

    other = worlds.write_folder(tmp_path / "other", worlds.ROUTES.replace("[pii, secret]", "[pii]"))
    scored = frame.with_columns(
        small=pl.Series([place % 3 / 2 for place in range(COUNT)]), sonnet=pl.lit(1.0)
    )
    scored.write_csv(tmp_path / "log.csv")
    policies = [("one", load_or_raise(folder)), ("two", load_or_raise(other))]
    start = datetime(2024, 1, 1, tzinfo=UTC)
    reports = [
        replay(tmp_path / "log.csv", policies, Options((), {}, start, chunk_rows=rows)).to_json()
        for rows in (10_000, 97)
    ]
    assert reports[0] == reports[1]

"""`engine ledger`: what is shown, what a person decides, exit codes, and that each is written down."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.budget import Attempt, Clock, Ledger, Limits, Rates, TokenPrices, Usage, open_ledger
from engine.budget.sqlite_store import FILE_NAME

from .running import DEFAULT, Ran, Shell, valid

PRICES = TokenPrices(Rates.from_usd(1, 1))
Run = Callable[..., Ran]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENGINE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("DAILY_BUDGET_LIMIT", "1")
    return tmp_path / "state"


@pytest.fixture
def run(shell: Shell, state: Path) -> Run:
    def run(*words: str) -> Ran:
        ran = shell("ledger", *words, "--config", DEFAULT, "--format", "json")
        if ran.out:
            valid("ledger", ran.json)
        return ran

    return run


def opened(state: Path) -> Ledger:
    clock = Clock(time.time_ns, time.monotonic_ns, "")
    return open_ledger(state_dir=state, url=None, limits=Limits(daily_usd=1), clock=clock)


def booked(state: Path, name: str, held: int = 1_000, charge: int | None = 500, model: str = "m") -> None:
    ledger = opened(state)
    reservation = ledger.reserve(Attempt(name, "d", "north", model, False, held, PRICES, 600))
    if charge is None:
        ledger.forfeit(reservation, "may have been billed")
    else:
        ledger.settle(reservation, Usage(charge))
    ledger.close()


def today() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())


def test_a_sound_ledger_is_shown_open(run: Run, state: Path) -> None:
    """Exit code 0, every account with what is spent."""
    booked(state, "a")
    ran = run("show")
    assert (ran.code, ran.json["state"], ran.json["needs"]) == (0, "open", [])
    assert ran.json["accounts"][0]["spent_usd"] == "0.000500"


def test_a_breach_names_the_account_and_the_command_that_reopens_it(run: Run, state: Path) -> None:
    """Exit code 1 until it is reopened; the reopening is written down."""
    booked(state, "a", held=1_000, charge=2_000)
    ran = run("show")
    assert (ran.code, ran.json["state"]) == (1, "closed")
    assert "engine ledger reopen daily" in ran.json["needs"]
    assert run("reopen", "daily").json["changed"] is True
    assert run("reopen", "daily").json["changed"] is False
    shown = run("show").json
    assert shown["accounts"][0]["state"] == "open"
    assert [(event["action"], event["subject"]) for event in shown["events"]] == [("reopen", "daily")]


def test_a_lost_ledger_is_told_from_a_spent_one(run: Run, state: Path) -> None:
    """Each state has its own word and command; adopting is written down."""
    booked(state, "a", held=1_000_000, charge=1_000_000)
    spent = next(each for each in run("show").json["accounts"] if each["budget"] == "daily")
    assert (spent["state"], spent["command"]) == ("spent", "engine usage")
    assert "spent: daily" in run("show").json["said"]
    (state / FILE_NAME).unlink()
    lost = run("show")
    assert (lost.code, lost.json["state"], lost.json["needs"]) == (1, "replaced", ["engine ledger adopt"])
    assert run("adopt").code == 0
    assert [event["action"] for event in run("show").json["events"]] == ["adopt"]


def test_an_unreachable_ledger_leads_to_the_doctor(
    run: Run, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing answers there."""
    monkeypatch.setenv("ENGINE_LEDGER_URL", "postgresql://u@127.0.0.1:1/base")
    ran = run("show")
    assert (ran.code, ran.json["state"], ran.json["needs"]) == (1, "unavailable", ["engine doctor"])


def test_a_clock_is_accepted_and_that_is_written_down(run: Run) -> None:
    assert run("accept-clock").code == 0
    assert [event["action"] for event in run("show").json["events"]] == ["accept-clock"]


def test_a_report_by_attempt_corrects_each_to_what_was_billed(run: Run, state: Path, tmp_path: Path) -> None:
    """More, less, the same, unknown; a second time nothing changes."""
    for name in ("more", "less", "same"):
        booked(state, name, held=1_000, charge=500)
    report = tmp_path / "report.csv"
    report.write_text("attempt_id,charge_usd\nmore,0.0007\nless,0.0001\nsame,0.0005\nghost,1\n")
    dry = run("reconcile", str(report), "--dry-run")
    assert dry.json["changed"] is False
    first = run("reconcile", str(report))
    assert first.code == 1
    rows = {row["attempt_id"]: row for row in first.json["rows"]}
    assert {name: row["corrected_usd"] for name, row in rows.items()} == {
        "more": "0.0002",
        "less": "-0.0004",
        "same": "0",
        "ghost": "0",
    }
    assert rows["ghost"]["problem"] == "no such attempt is in the books"
    assert run("reconcile", str(report)).json["changed"] is False
    assert run("show").json["accounts"][0]["spent_usd"] == "0.001300"


def test_a_report_by_day_takes_less_only_off_what_was_never_measured(
    run: Run, state: Path, tmp_path: Path
) -> None:
    """A forfeit of 1,000 u$ and a measured 500 u$ against 700 u$ billed: the forfeit was 200 u$."""
    booked(state, "known", charge=500)
    booked(state, "lost", charge=None)
    report = tmp_path / "report.jsonl"
    report.write_text(
        f'{{"date": "{today()}", "provider": "north", "model": "m", "cost_usd": "0.0007"}}\n'
        f'{{"date": "{today()}", "provider": "north", "model": "other", "cost_usd": "0.5"}}\n'
    )
    first, second = run("reconcile", str(report)).json["rows"]
    assert (first["booked_usd"], first["corrected_usd"], first["left_usd"]) == ("0.0015", "-0.0008", "0")
    assert (second["left_usd"], second["problem"]) == ("0.5", "no such call is in the books")


def test_a_report_by_day_books_what_was_billed_beyond_the_books(
    run: Run, state: Path, tmp_path: Path
) -> None:
    """The rest is added to the day's last attempt, and counts against the limit."""
    booked(state, "a", held=1_000, charge=500)
    report = tmp_path / "report.csv"
    report.write_text(f"day,provider,model,amount_usd\n{today()},north,m,0.0009\n")
    ran = run("reconcile", str(report))
    assert (ran.code, ran.json["rows"][0]["corrected_usd"]) == (0, "0.0004")
    assert run("show").json["accounts"][0]["spent_usd"] == "0.000900"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "holds no row"),
        ("attempt_id,charge_usd\na,much\n", "line 2"),
        ("attempt_id,charge_usd\na,-1\n", "line 2"),
        ("attempt_id\na\n", "charge_usd"),
        ('{"date": "2030-01-01"}\n', "line 1"),
        ("{nothing\n", "line 1"),
    ],
)
def test_a_bad_report_is_named_and_books_nothing(
    run: Run, state: Path, tmp_path: Path, text: str, named: str
) -> None:
    booked(state, "a")
    report = tmp_path / "report"
    report.write_text(text)
    ran = run("reconcile", str(report))
    assert ran.code == 2
    assert named in ran.err
    assert run("show").json["events"] == []


@pytest.mark.parametrize(
    "words", [("reopen",), ("reconcile",), ("show", "daily"), ("reconcile", "no-such-file")]
)
def test_wrong_usage_is_exit_code_two(run: Run, words: tuple[str, ...]) -> None:
    assert run(*words).code == 2


def test_health_usage_and_doctor_name_the_command(shell: Shell, state: Path) -> None:
    """Whoever looks there is led to the same command."""
    booked(state, "a", held=1_000, charge=2_000)
    for words in (("usage",), ("health",), ("doctor",)):
        assert "engine ledger reopen daily" in shell(*words, "--config", DEFAULT).out, words

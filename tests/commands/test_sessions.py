"""`engine sessions`: what is shown of sessions, and what a person does with them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from engine.budget import Attempt, Clock, Ledger, Limits, Rates, TokenPrices, Usage, open_ledger
from engine.budget.sessions import SessionBook, SessionName

from .running import Ran, Shell, valid

MODELS = """\
providers:
  ollama: {type: local, models: [{id: small, max_context: 8000, quality_tier: low, latency_tier: low}]}
"""
POLICIES = """\
labels: [pii, code]
sessions: {labels_stay: [pii]}
budgets: {session: {total_usd: 1}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENGINE_STATE_DIR", str(tmp_path / "state"))
    house = tmp_path / "policy"
    house.mkdir()
    (house / "models.yaml").write_text(MODELS)
    (house / "policies.yaml").write_text(POLICIES)
    (house / "main.route").write_text("route all: use local\n")
    return house


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    clock = Clock(time.time_ns, time.monotonic_ns, "")
    return open_ledger(state_dir=tmp_path / "state", url=None, limits=Limits(session_usd=1), clock=clock)


@pytest.fixture
def session(ledger: Ledger) -> str:
    """The key of a session with a label, an agent that another one started, and money spent."""
    book = SessionBook(ledger)
    name = SessionName("Zanzibar", "child", "root")
    book.begin(name, ["pii"], "decision-7", durable=True, forget_after_days=30)
    owner = book.read(name, None, ledger.limits).owner
    prices = TokenPrices(Rates.from_usd(1, 1))
    held = ledger.reserve(Attempt("a", "d", "north", "m", False, 5_000, prices, 60, owner=owner))
    ledger.settle(held, Usage(1_000))
    book.answered(name, "north", "m")
    assert owner.session is not None
    return owner.session


def ask(shell: Shell, folder: Path, *words: str) -> Ran:
    ran = shell("sessions", *words, "--config", str(folder), "--format", "json")
    if ran.out:
        valid("sessions", ran.json)
    return ran


def test_nothing_is_known_at_first(shell: Shell, folder: Path) -> None:
    """And says how a session begins."""
    ran = shell("sessions", "list", "--config", str(folder))
    assert (ran.code, ran.out) == (0, "no session is known; a call belongs to one when its task names it\n")


def test_sessions_are_listed_by_key(shell: Shell, folder: Path, session: str) -> None:
    """With calls, money and labels, and never by name."""
    ran = ask(shell, folder, "list")
    assert ran.code == 0
    (one,) = ran.json["sessions"]
    assert (one["key"], one["calls"], one["labels"]) == (session, 1, ["pii"])
    assert float(one["spent_usd"]) == 0.001
    assert "Zanzibar" not in ran.out


def test_a_session_is_shown_whole(shell: Shell, folder: Path, session: str) -> None:
    """By the beginning of its key, or by its name."""
    shown = ask(shell, folder, "show", session[:8])
    assert shown.json["labels"][0]["decision_id"] == "decision-7"
    assert len(shown.json["agents"]) == 1
    assert shown.json["caches"][0]["model"] == "m"
    by_name = ask(shell, folder, "show", "Zanzibar", "--name")
    assert by_name.json["sessions"] == shown.json["sessions"]
    text = shell("sessions", "show", session[:8], "--config", str(folder)).out
    assert "label pii: since" in text


def test_a_session_is_labelled(shell: Shell, folder: Path, ledger: Ledger) -> None:
    """By name before it has called; a label that the policy does not know is refused."""
    assert ask(shell, folder, "label", "fresh", "code", "--name").code == 0
    assert set(SessionBook(ledger).read(SessionName("fresh"), None, Limits()).labels) == {"code"}
    ran = ask(shell, folder, "label", "fresh", "codes", "--name")
    assert ran.code == 2
    assert "code" in ran.err


def test_a_session_is_forgotten(shell: Shell, folder: Path, session: str, ledger: Ledger) -> None:
    """With its labels; its charges stay."""
    assert ask(shell, folder, "forget", session).json["under_way"] is False
    assert ask(shell, folder, "list").json["sessions"] == []
    assert not SessionBook(ledger).read(SessionName("Zanzibar"), None, Limits()).labels
    usage = json.loads(shell("usage", "--config", str(folder), "--format", "json").out)
    assert usage["daily"]["spent_usd"] == "0.001000"


def test_a_session_with_a_call_under_way_is_kept(
    shell: Shell, folder: Path, session: str, ledger: Ledger
) -> None:
    """Exit code 1, and a word on why."""
    owner = SessionBook(ledger).read(SessionName("Zanzibar"), None, Limits()).owner
    prices = TokenPrices(Rates.from_usd(1, 1))
    ledger.reserve(Attempt("b", "d", "north", "m", False, 5_000, prices, 600, owner=owner))
    ran = ask(shell, folder, "forget", session)
    assert ran.code == 1
    assert ran.json["under_way"] is True


def test_a_full_session_is_told_by_usage_and_doctor(
    shell: Shell, folder: Path, session: str, ledger: Ledger
) -> None:
    """By its account."""
    owner = SessionBook(ledger).read(SessionName("Zanzibar"), None, Limits()).owner
    prices = TokenPrices(Rates.from_usd(1, 1))
    whole = Attempt("b", "d", "north", "m", False, 999_000, prices, 60, owner=owner)
    ledger.forfeit(ledger.reserve(whole), "broken off")
    assert f"session/{session}" in shell("usage", "--config", str(folder)).out
    assert f"session/{session}" in shell("ledger", "show", "--config", str(folder)).out


@pytest.mark.parametrize(
    "words",
    [["list", "x"], ["show"], ["show", "abc", "pii"], ["label", "abc"], ["show", "zz"], ["forget", "00"]],
)
def test_wrong_words_are_said(shell: Shell, folder: Path, words: list[str]) -> None:
    """Exit code 2, and what to write."""
    ran = ask(shell, folder, *words)
    assert ran.code == 2
    assert "engine sessions" in ran.err

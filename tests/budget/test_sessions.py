"""What a session leaves behind for its next call, and the accounts of sessions, agents and groups."""

import threading
from collections.abc import Callable
from decimal import Decimal

import pytest

from engine.budget import Attempt, BudgetExceeded, Ledger, Limits, Rates, TokenPrices, Usage
from engine.budget.accounts import Owner
from engine.budget.sessions import DEEPEST, SessionBook, SessionName
from engine.budget.sqlite_store import SqliteStore
from engine.budget.usage import verify

from .clocks import SteppedClock

PRICES = TokenPrices(Rates.from_usd(1, 1))
OpenLedger = Callable[..., Ledger]
LIMITS = Limits(
    daily_usd=100,
    session_usd=1,
    agent_usd=Decimal("0.5"),
    per_group_daily={"lab": 2},
    per_group_monthly={"lab": 3},
)
SESSION = SessionName("s-1")


def paid(name: str, owner: Owner, micro_usd: int = 250_000) -> Attempt:
    return Attempt(name, "decision", "north", "model", False, micro_usd, PRICES, 60, owner=owner)


def begin(book: SessionBook, name: SessionName, *labels: str, decision: str = "d") -> None:
    book.begin(name, labels, decision, durable=True, forget_after_days=30)


# -- labels and calls


def test_a_session_is_empty_at_first(open_ledger: OpenLedger) -> None:
    """Nobody has called, nothing is known."""
    record = SessionBook(open_ledger(LIMITS)).read(SESSION, None, LIMITS)
    assert (record.calls, dict(record.labels), dict(record.caches)) == (0, {}, {})


def test_labels_stay_and_say_where_they_came_from(open_ledger: OpenLedger) -> None:
    """The first call that brought a label is the one that is named, in another process too."""
    book = SessionBook(open_ledger(LIMITS))
    begin(book, SESSION, "pii", decision="first")
    begin(book, SESSION, "pii", "secret", decision="second")
    begin(book, SESSION, decision="third")
    record = SessionBook(open_ledger(LIMITS)).read(SESSION, None, LIMITS)
    assert record.calls == 3
    assert {label: origin.decision_id for label, origin in record.labels.items()} == {
        "pii": "first",
        "secret": "second",
    }


def test_sessions_do_not_know_each_other(open_ledger: OpenLedger) -> None:
    """Another name is another session, whatever the two names look like side by side."""
    book = SessionBook(open_ledger(LIMITS))
    begin(book, SessionName("a", "bc"), "pii")
    for other in (SessionName("ab", "c"), SessionName("A"), SessionName("a "), SessionName("")):
        assert not book.read(other, None, LIMITS).labels


def test_a_session_can_be_labelled_before_it_calls(open_ledger: OpenLedger) -> None:
    """By nobody's decision."""
    book = SessionBook(open_ledger(LIMITS))
    book.label("s-1", ["pii"])
    record = book.read(SESSION, None, LIMITS)
    assert record.calls == 0
    assert record.labels["pii"].decision_id is None


def test_names_are_nowhere_in_the_ledger(open_ledger: OpenLedger) -> None:
    """Keyed hashes only, in every table."""
    ledger = open_ledger(LIMITS)
    book = SessionBook(ledger)
    name = SessionName("Zanzibar", "Quetzal", "Xylophone")
    begin(book, name, "pii")
    record = book.read(name, None, LIMITS)
    ledger.reserve(paid("a", record.owner))
    book.answered(name, "north", "model")
    tables = ("ledger_attempts", "ledger_windows", "session_records", "session_labels", "session_agents")
    for table in (*tables, "session_caches", "ledger_meta"):
        rows = ledger.store.read(lambda session, table=table: session.rows(f"SELECT * FROM {table}"))
        assert not any(word in repr(rows) for word in ("Zanzibar", "Quetzal", "Xylophone")), table
    assert "Zanzibar" not in repr(name)


def test_two_ledgers_hash_differently(
    open_ledger: OpenLedger, time: SteppedClock, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Who knows the keys of one ledger knows nothing of another."""
    other = Ledger(SqliteStore(tmp_path_factory.mktemp("other"), time.clock), LIMITS, time.clock)
    assert SessionBook(open_ledger(LIMITS)).key_of("s-1") != SessionBook(other).key_of("s-1")
    other.close()


def test_many_first_calls_at_once_agree_on_the_key(open_ledger: OpenLedger) -> None:
    """The key of the hashes is made once."""
    keys: list[str] = []
    books = [SessionBook(open_ledger(LIMITS)) for _ in range(4)]
    threads = [threading.Thread(target=lambda book=book: keys.append(book.key_of("s"))) for book in books]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 4
    assert len(set(keys)) == 1


# -- agents


def test_an_agent_is_charged_with_those_above_it(open_ledger: OpenLedger) -> None:
    """The one that calls first, then the one that started it, up to the root."""
    book = SessionBook(open_ledger(LIMITS))
    begin(book, SessionName("s", "root"))
    begin(book, SessionName("s", "child", "root"))
    line = book.read(SessionName("s", "grandchild", "child"), None, LIMITS).owner.agents
    parents = book.read(SessionName("s", "child"), None, LIMITS).owner.agents
    assert len(line) == 3
    assert line[1:] == parents


def test_the_first_word_on_a_parent_holds(open_ledger: OpenLedger) -> None:
    """Nobody gets away from a limit by calling somebody else its parent, and no circle is followed."""
    book = SessionBook(open_ledger(LIMITS))
    begin(book, SessionName("s", "child", "root"))
    begin(book, SessionName("s", "root", "child"))
    before = book.read(SessionName("s", "child", "root"), None, LIMITS).owner.agents
    assert book.read(SessionName("s", "child", "other"), None, LIMITS).owner.agents == before
    assert len(before) == 2


def test_a_very_deep_tree_is_bounded(open_ledger: OpenLedger) -> None:
    """So that no caller makes a reservation slow."""
    book = SessionBook(open_ledger(LIMITS))
    for number in range(40):
        begin(book, SessionName("s", f"{number}", f"{number - 1}" if number else None))
    assert len(book.read(SessionName("s", "39"), None, LIMITS).owner.agents) == DEEPEST + 1


# -- money


def test_a_child_spends_its_parents_money(open_ledger: OpenLedger) -> None:
    """Two children of one agent share its limit, though each is within its own."""
    ledger = open_ledger(LIMITS)
    book = SessionBook(ledger)
    owners = []
    for child in ("one", "two", "three"):
        begin(book, SessionName("s", child, "root"))
        owners.append(book.read(SessionName("s", child, "root"), None, LIMITS).owner)
    ledger.reserve(paid("a", owners[0]))
    ledger.reserve(paid("b", owners[1]))
    with pytest.raises(BudgetExceeded) as refused:
        ledger.reserve(paid("c", owners[2]))
    assert refused.value.account_id == f"agent/{owners[2].agents[-1]}"


def test_a_session_has_a_limit_of_its_own(open_ledger: OpenLedger) -> None:
    """Held at once with the day and the month, all or none."""
    ledger = open_ledger(LIMITS)
    book = SessionBook(ledger)
    owner = book.read(SESSION, None, LIMITS).owner
    for name in "abcd":
        ledger.reserve(paid(name, owner))
    with pytest.raises(BudgetExceeded) as refused:
        ledger.reserve(paid("e", owner))
    assert refused.value.account_id == f"session/{owner.session}"
    assert ledger.left_micro_usd("north", owner) == 0
    assert ledger.left_micro_usd("north") == 99_000_000
    other = book.read(SessionName("s-2"), None, LIMITS).owner
    ledger.reserve(paid("f", other))


def test_a_group_has_its_day_and_its_month(open_ledger: OpenLedger) -> None:
    """Whoever calls for it."""
    ledger = open_ledger(LIMITS)
    owner = Owner(group="lab")
    ledger.reserve(paid("a", owner, 1_500_000))
    with pytest.raises(BudgetExceeded) as refused:
        ledger.reserve(paid("b", owner, 600_000))
    assert refused.value.account_id == "group/lab/daily"
    ledger.reserve(paid("c", Owner(group="other"), 600_000))


def test_what_is_used_is_what_is_spent(open_ledger: OpenLedger) -> None:
    """Held money may come back and does not count; the books add up."""
    ledger = open_ledger(LIMITS)
    book = SessionBook(ledger)
    begin(book, SessionName("s-1", "root"))
    owner = book.read(SessionName("s-1", "root"), "lab", LIMITS).owner
    held = ledger.reserve(paid("a", owner))
    ledger.reserve(paid("b", owner, 100_000))
    ledger.settle(held, Usage(100_000, 100_000))
    used = {
        state.account.account_id.partition("/")[0]: state.used_percent
        for state in book.read(SessionName("s-1", "root"), "lab", LIMITS).accounts
        if not state.account.account_id.endswith("monthly")
    }
    assert used == {"session": 20, "agent": 40, "group": 10}
    assert verify(ledger).findings == ()


def test_a_stream_grows_on_all_its_accounts(open_ledger: OpenLedger) -> None:
    """Or on none."""
    ledger = open_ledger(LIMITS)
    owner = SessionBook(ledger).read(SESSION, None, LIMITS).owner
    held = ledger.grow(ledger.reserve(paid("a", owner)), 900_000)
    with pytest.raises(BudgetExceeded):
        ledger.grow(held, 1_100_000)
    assert ledger.left_micro_usd("north", owner) == 100_000
    assert verify(ledger).findings == ()


# -- forgetting


def test_forgetting_takes_everything_but_the_charges(open_ledger: OpenLedger) -> None:
    """The day knows what was spent; the session is as if it had never been."""
    ledger = open_ledger(LIMITS)
    book = SessionBook(ledger)
    begin(book, SessionName("s-1", "root"), "pii")
    record = book.read(SessionName("s-1", "root"), None, LIMITS)
    held = ledger.reserve(paid("a", record.owner))
    assert record.owner.session is not None
    assert not book.forget(record.owner.session)
    ledger.settle(held, Usage(100_000, 0))
    assert book.forget(record.owner.session)
    after = book.read(SessionName("s-1", "root"), None, LIMITS)
    assert (after.calls, dict(after.labels)) == (0, {})
    assert ledger.left_micro_usd("north") == 99_900_000
    assert verify(ledger).findings == ()
    assert book.all() == ()


def test_a_session_is_forgotten_when_it_was_not_used(open_ledger: OpenLedger) -> None:
    """By whoever calls next, after so many days."""
    ledger = open_ledger(LIMITS)
    book = SessionBook(ledger)
    begin(book, SESSION, "pii")
    book.begin(SessionName("s-2"), (), "d", durable=True, forget_after_days=1)
    assert book.read(SESSION, None, LIMITS).labels
    ledger.store.write(
        lambda session: session.run("UPDATE session_records SET last_us = last_us - 90000000000"),
        durable=True,
    )
    book.begin(SessionName("s-3"), (), "d", durable=True, forget_after_days=1)
    assert not book.read(SESSION, None, LIMITS).labels
    assert [one.calls for one in book.all()] == [1]


# -- looking


def test_a_person_sees_sessions_by_their_keys(open_ledger: OpenLedger, time: SteppedClock) -> None:
    """The last used first, with what each carries and costs, and its tree of agents."""
    ledger = open_ledger(LIMITS)
    book = SessionBook(ledger)
    begin(book, SessionName("s-1"), "pii")
    time.advance(1)
    begin(book, SessionName("s-2", "root"))
    begin(book, SessionName("s-2", "child", "root"))
    owner = book.read(SessionName("s-2", "child"), None, LIMITS).owner
    ledger.reserve(paid("a", owner))
    second, first = book.all()
    assert (first.labels, first.calls, first.spent_micro_usd) == (("pii",), 1, 0)
    assert (second.labels, second.calls, second.held_micro_usd) == ((), 2, 250_000)
    assert book.find(second.key[:12]) == (second.key,)
    assert book.find("%") == ()
    _, record, agents = book.show(second.key)
    assert record.calls == 2
    assert {agent.parent_key for agent in agents} == {None, owner.agents[-1]}
    assert [agent.held_micro_usd for agent in agents] == [250_000, 250_000]


def test_a_cache_is_known_by_when_it_was_used(open_ledger: OpenLedger) -> None:
    """The newest few of a session."""
    ledger = open_ledger(LIMITS)
    book = SessionBook(ledger)
    for model in ("a", "b", "a"):
        book.answered(SESSION, "north", model)
    record = book.read(SESSION, None, LIMITS)
    assert set(record.caches) == {("north", "a"), ("north", "b")}
    assert record.caches["north", "a"] >= record.caches["north", "b"]
    assert record.now_us >= record.caches["north", "a"]

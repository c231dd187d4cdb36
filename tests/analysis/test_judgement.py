"""The one judgement of an edit: what lets more out, what spends more, what is not known."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from engine.analysis.judgement import MOST_WORK, Judgement, judge
from engine.bundled import bundled_path
from engine.config.folder import folder_in_memory
from engine.language.diagnostics import Problems
from engine.language.source import Source
from engine.policy import Policy, build, load_or_raise
from tests.analysis.judgement import (
    check_edit,
    check_proposal,
    check_reload,
    edits,
    enumerated,
    is_valid,
)

MODELS = """providers:
  house:
    type: local
    api: ollama
    models:
      - id: small
        max_context: 100000
        quality_tier: low
        latency_tier: high
        cost_profile: {type: local_cpu}
  far:
    type: cloud
    api: openai
    base_url: https://far.example
    models:
      - id: gpt
        max_context: 100000
        quality_tier: high
        latency_tier: low
        cost_profile: {type: paid, input_per_1m: 3, output_per_1m: 15}
"""
POLICIES = """routing:
  default_mode: home
  modes: {home: {allow_cloud: false}, abroad: {allow_cloud: true}}
task_types: [qa, code]
labels: [pii]
budgets: {daily: {total_usd: 5, per_provider: {far: 2}}, monthly: {total_usd: 50}, holds: bytes}
"""
ROUTES = "forbid g: cloud when task.labels has pii\nroute r: use local, then cloud\n"


def policy_of(models: str = MODELS, policies: str = POLICIES, routes: str = ROUTES) -> Policy:
    problems = Problems()
    files = folder_in_memory(models, policies, {"a.route": routes}, problems=problems)
    policy = None if files is None else build(files, problems)
    assert policy is not None, [problem.message for problem in problems]
    return policy


def judged(old: Policy, new: Policy) -> tuple[list[str], list[str]]:
    judgement = judge(old, new)
    assert judgement.undecided == ()
    return [change.text for change in judgement.leaks], [change.text for change in judgement.spending]


@pytest.mark.parametrize("seed", range(6))
def test_edits_are_judged_as_the_reference_finds_them(seed: int) -> None:
    """Task by task, with a witness for each leak; `python -m tests.analysis.judgement` asks more."""
    for number, old, new in islice(edits(71_000 + 10 * seed), 30):
        if is_valid(new):
            check_edit(number, old, new)


def test_edits_are_proposed_and_reloaded_as_they_are_judged(tmp_path: Path) -> None:
    """None that loosens is taken unasked, and no other is refused but by lint."""
    kinds = set()
    for number, old, new in islice(edits(71_060), 10):
        if is_valid(new):
            kind = enumerated(old, new)
            check_proposal(number, old, new, kind)
            check_reload(number, old, new, kind, tmp_path)
            kinds.add(kind)
    assert kinds >= {"leak", "neither"}


@pytest.mark.parametrize(
    ("before", "after", "leak"),
    [
        (
            "default_mode: home",
            "default_mode: abroad",
            "`gpt` may get the task type=qa, for example, now that the default",
        ),
        ("[qa, code]", "[qa, code, chat]", "the task type `chat` was not known"),
        ("task_types: [qa, code]\n", "", "the task type of any name was not known"),
        ("labels: [pii]", "labels: [pii, eu]", "the label `eu` was not known"),
        ("labels: [pii]\n", "", "the label of any name was not known"),
        ("home: {allow_cloud: false}", "home: {allow_cloud: true}", "`gpt` may get the task type=qa"),
        (
            "abroad: {allow_cloud: true}",
            "abroad: {allow_cloud: true}, far: {allow_cloud: true}",
            "the mode `far` was not known",
        ),
    ],
)
def test_what_policies_yaml_opens_is_a_leak(before: str, after: str, leak: str) -> None:
    """And nothing of it is money."""
    (text,), spending = judged(policy_of(), policy_of(policies=POLICIES.replace(before, after)))
    assert text.startswith(leak)
    assert spending == []


@pytest.mark.parametrize(
    ("before", "after", "leak"),
    [
        ("https://far.example", "https://near.example", "far has another address"),
        ("base_url: https", "base_url_env: THERE\n    base_url: https", "far has another address"),
        ("api: ollama", "api: openai\n    base_url: http://127.0.0.1:11434", "house has another address"),
        ("type: local\n", "type: local\n    networks: [10.0.0.0/8]\n", "house may be in more networks"),
        ("api: openai", "api: openai\n    api_key_env: OTHER", "far is sent another key, the one in OTHER"),
    ],
)
def test_where_models_yaml_sends_to_is_a_leak(before: str, after: str, leak: str) -> None:
    """What a task gets is the same, and goes elsewhere."""
    assert judged(policy_of(), policy_of(models=MODELS.replace(before, after))) == ([leak], [])


def test_a_model_that_goes_to_another_provider_is_a_leak() -> None:
    """Under the same name."""
    leaks, _ = judged(policy_of(), policy_of(models=MODELS.replace("far:", "other:"), policies=_UNLIMITED))
    assert leaks == [
        "other is a cloud provider now",
        "`gpt` may get the task type=qa mode=abroad, for example",
    ]


LOCAL_AS_WELL = MODELS.replace(
    "  far:",
    """  door:
    type: local
    api: ollama
    base_url: http://127.0.0.1:4000
    models: [{id: other, max_context: 9, quality_tier: low, latency_tier: low}]
  far:""",
)


def test_a_local_provider_where_none_was_is_a_leak() -> None:
    """Its port may lead anywhere; at an address that a local provider has it is none."""
    leaks, _ = judged(policy_of(), policy_of(models=LOCAL_AS_WELL))
    assert leaks == ["door is a local provider at an address that none had"]
    beside = LOCAL_AS_WELL.replace("    base_url: http://127.0.0.1:4000\n", "")
    assert judged(policy_of(), policy_of(models=beside)) == ([], [])


def test_a_cloud_provider_that_is_called_local_is_a_leak() -> None:
    """No task gets another model by it; no guard for the cloud holds for it any more."""
    near = MODELS.replace("https://far.example", "http://127.0.0.1:4000")
    called_local = near.replace("type: cloud", "type: local").replace("type: paid, ", "")
    leaks, _ = judged(policy_of(models=near), policy_of(models=called_local))
    assert leaks == ["far is a local provider now, and no rule for the cloud holds for it"]


@pytest.mark.parametrize(
    ("guard", "labels"),
    [("", frozenset({"eu"})), ("forbid h: cloud when task.labels is empty\n", frozenset({"eu"}))],
)
def test_a_label_that_no_rule_names_is_shown_by_a_task_that_has_it(guard: str, labels: object) -> None:
    """It is decided as any label that nobody names."""
    new = policy_of(policies=POLICIES.replace("[pii]", "[pii, eu]"), routes=guard + ROUTES)
    (leak,) = judge(policy_of(routes=guard + ROUTES), new).leaks
    assert leak.given is not None
    assert leak.given["task.labels"] == labels
    assert "gpt" in leak.after


def test_a_label_that_is_kept_home_as_any_is_no_leak() -> None:
    """Though nobody names it."""
    guarded = ROUTES.replace("has pii", "is not empty")
    new = policy_of(policies=POLICIES.replace("[pii]", "[pii, eu]"), routes=guarded)
    assert judged(policy_of(routes=guarded), new) == ([], [])


SESSIONS = POLICIES.replace(
    "holds: bytes}",
    "holds: bytes, session: {total_usd: 2}, agent: {total_usd: 3}, groups: {ops: {daily_usd: 1}}}\n"
    "groups: [ops]\nsessions: {labels_stay: [pii], forget_after_days: 30}",
)


@pytest.mark.parametrize(
    ("before", "after", "leak"),
    [
        ("labels_stay: [pii]", "labels_stay: []", "`gpt` may get the task"),
        (
            "forget_after_days: 30",
            "forget_after_days: 1",
            "what an unused session carried is forgotten after 1",
        ),
        ("groups: [ops]", "groups: [ops, sales]", "the group `sales` was not known"),
    ],
)
def test_what_sessions_forget_is_a_leak(before: str, after: str, leak: str) -> None:
    """A label that no longer stays, and a task of a group that was refused."""
    routes = ROUTES.replace("task.labels", "session.labels") if "stay" not in before else ROUTES
    routes = f"language 1.1\n{routes}"
    assert before in SESSIONS
    new = policy_of(policies=SESSIONS.replace(before, after), routes=routes)
    leaks, spending = judged(policy_of(policies=SESSIONS, routes=routes), new)
    assert any(text.startswith(leak) for text in leaks)
    assert spending == []


@pytest.mark.parametrize(
    ("before", "after", "spending"),
    [
        (
            "session: {total_usd: 2}",
            "session: {total_usd: 4}",
            "the limit of a session is higher, $4 instead of $2",
        ),
        (", agent: {total_usd: 3}", "", "the limit of an agent is gone, it was $3"),
        ("daily_usd: 1", "daily_usd: 2", "the daily limit of the group ops is higher, $2 instead of $1"),
    ],
)
def test_limits_of_sessions_and_groups_are_money(before: str, after: str, spending: str) -> None:
    """Like those of a day."""
    assert before in SESSIONS
    new = policy_of(policies=SESSIONS.replace(before, after))
    assert judged(policy_of(policies=SESSIONS), new) == ([], [spending])


def test_another_time_zone_is_a_leak_where_rules_ask_the_clock() -> None:
    """Night is at another time; the budget's days are money."""
    berlin = POLICIES.replace("budgets: {", "budgets: {time_zone: Europe/Berlin, ")
    money = "the days of the budget begin in Europe/Berlin now, and began in UTC"
    assert judged(policy_of(), policy_of(policies=berlin)) == ([], [money])
    routes = ROUTES.replace("has pii", "is empty and clock.hour in 22..6")
    leaks, spending = judged(policy_of(routes=routes), policy_of(policies=berlin, routes=routes))
    assert leaks == ["the clock of the rules is Europe/Berlin's now, and was UTC's"]
    assert spending == [money]


_UNLIMITED = POLICIES.replace(", per_provider: {far: 2}", "")


@pytest.mark.parametrize(
    ("before", "after", "spending"),
    [
        ("{total_usd: 5,", "{total_usd: 6,", "the daily limit is higher, $6 instead of $5"),
        (", monthly: {total_usd: 50}", "", "the monthly limit is gone, it was $50"),
        ("{far: 2}", "{far: 3}", "the daily limit of far is higher, $3 instead of $2"),
        (", per_provider: {far: 2}", "", "the daily limit of far is gone, it was $2"),
        ("holds: bytes", "holds: learnt", "holds are made by what was learnt now"),
        (", holds: bytes", "", "holds are made by what was learnt now"),
        (
            "holds: bytes",
            "holds: bytes, default_max_output: 2000",
            "an answer may have 2,000 tokens unasked, and had 1,000",
        ),
    ],
)
def test_limits_that_rise_are_money_and_no_leak(before: str, after: str, spending: str) -> None:
    """A limit that goes too: what it blocked was not blocked for its content."""
    assert judged(policy_of(), policy_of(policies=POLICIES.replace(before, after))) == ([], [spending])


def test_a_price_that_falls_is_money() -> None:
    """Less is held and booked for what the provider bills; one that rises is none."""
    cheaper = policy_of(models=MODELS.replace("output_per_1m: 15", "output_per_1m: 1.5"))
    text = "the output price of gpt is lower, $1.5 instead of $15 per million tokens"
    assert judged(policy_of(), cheaper) == ([], [text])
    assert judged(cheaper, policy_of()) == ([], [])


@pytest.mark.parametrize(
    ("before", "after", "task"),
    [
        ("route r: use local, then cloud", "route r: use cloud, then local", "type=qa mode=abroad"),
        (
            "prefer p: local by 100",
            "prefer p: local by 100 unless task.type is code",
            "type=code mode=abroad",
        ),
        (
            "weigh w: cost 1, quality 0, latency 0",
            "weigh v: cost 0, quality 0, latency 1 when task.criticality is low\n{before}",
            "type=qa criticality=low mode=abroad",
        ),
    ],
)
def test_tasks_that_move_to_the_cloud_are_money(before: str, after: str, task: str) -> None:
    """Where the cloud was behind a local model already; the way back is none."""
    guard = ROUTES.splitlines(keepends=True)[0]
    old, new = (
        policy_of(routes=f"{guard}{before}\n"),
        policy_of(routes=f"{guard}{after.format(before=before)}\n"),
    )
    text = f"`gpt` instead of `small` is first for the task {task}, for example"
    assert judged(old, new) == ([], [text])
    assert judged(new, old) == ([], [])


def test_what_the_work_does_not_decide_counts_as_wider() -> None:
    """Nothing is shown, and the reasons say how much was done."""
    judgement: Judgement = judge(policy_of(), policy_of(routes=ROUTES.replace("has pii", "is empty")), 1)
    assert judgement.lets_more_out is None
    assert "steps did not suffice" in judgement.reasons[0]


@pytest.mark.parametrize(
    ("edits", "costs_more"),
    [
        ([("models.warm has model.id by 5", "not models.warm has model.id by 5")], True),
        ([("model.call_cost > $0.05", "model.call_cost >= $0.05")], False),
        (
            [
                ("[planning, coding]", "[planning]"),
                ("budget.daily.used >= 80% and task.criticality < critical", "task.criticality < critical"),
                ("avoid dear-calls", "prefer dear-calls"),
            ],
            True,
        ),
        (
            [
                ("[planning, coding]", "[planning]"),
                ("budget.daily.used >= 80% and", "budget.daily.used >= 80% or"),
                ("cloud and model.quality >= very_high", "cloud and model.quality >= high"),
            ],
            False,
        ),
    ],
)
def test_edits_of_the_default_policy_are_judged_within_the_limit(
    edits: list[tuple[str, str]], costs_more: bool
) -> None:
    """Also where several rules change at once, and the tasks that move are far from plain."""
    old = load_or_raise(bundled_path("policies", "default"))
    (source,) = old.folder.routes
    text = source.text
    for before, after in edits:
        assert before in text
        text = text.replace(before, after, 1)
    new = build(replace(old.folder, routes=(Source(source.name, text),)), Problems())
    assert new is not None
    judgement = judge(old, new)
    assert judgement.undecided == ()
    assert judgement.work <= MOST_WORK // 2
    assert bool(judgement.spending) is costs_more
    for change in judgement.spending:
        assert change.given is not None
        chains = [policy.explain(change.given, {}).chain for policy in (old, new)]
        assert [chain[0].locality for chain in chains] == ["local", "cloud"]


def test_policies_without_a_common_mode_are_compared() -> None:
    """No task is taken by both; the new mode is what there is to say."""
    new = policy_of(policies=POLICIES.replace("home", "house").replace("abroad", "far"))
    leaks, spending = judged(policy_of(), new)
    (leak,) = leaks
    assert leak.startswith("the mode `far` was not known, and its tasks may go to the cloud, for example ")
    assert spending == []

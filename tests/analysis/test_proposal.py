"""A draft against its folder: what is taken, and each way round that is not."""

from __future__ import annotations

import pytest

from engine.analysis.proposal import Draft, Proposal, propose
from engine.config.folder import PolicyFolder, folder_in_memory
from engine.language.diagnostics import Problems
from tests.analysis.test_judgement import MODELS, POLICIES

ROUTES = """let sensitive = task.labels has pii
forbid g: cloud when sensitive
route r: use local, then cloud
prove stays-home: never cloud when sensitive
test "a private question stays":
    given task.type is qa, task.labels has pii, mode is abroad
    expect only local because g
test "at home":
    given task.type is code
    expect small
"""


def folder(routes: str = ROUTES, models: str = MODELS, policies: str | None = POLICIES) -> PolicyFolder:
    files = folder_in_memory(models, policies, {"a.route": routes}, problems=Problems())
    assert files is not None
    return files


def proposed(**draft: str | None) -> Proposal:
    """`a_route=` for a.route, and so on."""
    return propose(folder(), {name.replace("_", "."): text for name, text in draft.items()})


def kinds(proposal: Proposal) -> set[str]:
    return {objection.kind for objection in proposal.objections}


def changed(before: str, after: str, text: str = ROUTES) -> str:
    assert before in text
    return text.replace(before, after)


@pytest.mark.parametrize(
    "draft",
    [
        {"b.route": "forbid h: cloud when task.type is code\n"},
        {"a.route": changed("has pii\n", "has pii or task.type is code\n")},
        {"a.route": changed("forbid g: cloud", "forbid g: not small")},
        {"policies.yaml": changed("total_usd: 5,", "total_usd: 4,", POLICIES)},
        {"models.yaml": changed("output_per_1m: 15", "output_per_1m: 16", MODELS)},
        {"b.route": 'test "more":\n    given task.type is qa\n    expect small\n'},
    ],
)
def test_a_draft_that_is_stricter_or_the_same_is_sound(draft: Draft) -> None:
    """Guards, lets that grow, limits, prices, tests."""
    proposal = propose(folder(), draft)
    assert proposal.objections == ()
    assert proposal.is_sound
    assert proposal.folder is not None
    assert proposal.changed == draft


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("forbid g: cloud when sensitive", "forbid g: cloud when sensitive and mode is home"),
        ("has pii\n", "is empty\n"),
        ("forbid g: cloud when sensitive", "forbid g (watch): cloud when sensitive"),
        ("forbid g: cloud when sensitive", "forbid g: cloud when sensitive unless task.type is code"),
        ("forbid g: cloud", "forbid g: local"),
    ],
)
def test_a_guard_that_is_weakened_is_a_leak_with_its_task(before: str, after: str) -> None:
    """The witness has a private task and both chains."""
    proposal = proposed(a_route=changed(before, after))
    leak = next(objection for objection in proposal.objections if objection.kind == "leak")
    assert leak.given is not None
    assert leak.given["task.labels"] == frozenset({"pii"})
    assert "gpt" in leak.after
    assert "gpt" not in leak.before


def test_a_leak_is_no_better_without_the_proof_and_the_test() -> None:
    """They are held as the folder has them, and their loss is named."""
    bare = "route r: use local, then cloud\n"
    proposal = proposed(a_route=bare)
    assert kinds(proposal) == {"leak", "proof", "test", "dropped"}
    texts = "\n".join(objection.text for objection in proposal.objections)
    assert "the folder's proof stays-home is refuted" in texts
    assert 'the folder\'s test "a private question stays" (a.route:6) fails' in texts


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        (
            "prove stays-home: never cloud when sensitive\n",
            "",
            "the folder's proof stays-home is gone",
        ),
        (
            "never cloud when sensitive",
            "never cloud when sensitive and task.type is code",
            "the folder's proof stays-home no longer speaks of type=qa labels=pii",
        ),
        (
            "never cloud when sensitive",
            "never gpt when sensitive",
            "the folder's proof stays-home says something else",
        ),
        (
            "expect only local because g",
            "expect only local",
            'the folder\'s test "a private question stays" (a.route:6) is changed or gone',
        ),
        (
            'test "at home":\n    given task.type is code\n    expect small\n',
            "",
            'the folder\'s test "at home" (a.route:9) is changed or gone',
        ),
    ],
)
def test_a_promise_that_is_dropped_or_weakened_is_named(before: str, after: str, named: str) -> None:
    """Though the policy itself stays as it is."""
    (objection,) = proposed(a_route=changed(before, after)).objections
    assert objection.kind == "dropped"
    assert objection.text.startswith(named)


STAYING = POLICIES.replace("[pii]", "[pii, secret]") + "sessions: {labels_stay: all}\n"
LATER = """language 1.1
forbid g: cloud when task.labels has any [pii, secret]
route r: use local, then cloud
prove stays: never cloud after task.labels has any [pii, secret]
"""


def test_a_proof_of_later_calls_speaks_of_the_same_earlier_ones() -> None:
    """Though it holds for the fewer that are left."""
    current = folder(routes=LATER, policies=STAYING)
    fewer = changed("after task.labels has any [pii, secret]", "after task.labels has pii", LATER)
    (objection,) = propose(current, {"a.route": fewer}).objections
    assert objection.text == "the folder's proof stays says something else"


def test_a_proof_is_held_in_the_meaning_it_has_in_the_folder() -> None:
    """Its text stays, and the let that it names is narrowed."""
    narrowed = changed("let sensitive = task.labels has pii", "let sensitive = task.type is code")
    texts = [objection.text for objection in proposed(a_route=narrowed).objections]
    assert any(text.startswith("the folder's proof stays-home is refuted") for text in texts)
    assert any(text.startswith("the folder's proof stays-home no longer speaks of") for text in texts)


def test_a_proof_may_hold_for_more_tasks() -> None:
    """Then it is none that the folder loses."""
    wider = changed("never cloud when sensitive", "never cloud when sensitive or mode is home")
    assert proposed(a_route=wider).objections == ()


def test_what_the_draft_itself_breaks_is_said() -> None:
    """A test and a proof of its own, with a task each."""
    own = 'test "mine":\n    given task.type is qa\n    expect gpt\nprove mine: never local\n'
    proposal = proposed(b_route=own)
    assert kinds(proposal) == {"test", "proof"}
    assert all(objection.given is not None for objection in proposal.objections)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("../a.route", "x"),
        ("/a.route", "x"),
        ("sub/a.route", "x"),
        ("..", "x"),
        (".git", "x"),
        (".a.route", "x"),
        ("base.route", "forbid x: cloud\n"),
        ("Base.route", "forbid x: cloud\n"),
        ("A.route", "forbid x: cloud\n"),
        ("models.yml", "x"),
        ("Models.yaml", "x"),
        ("notes.txt", "x"),
        ("a.route\n", "x"),
        ("а.route", "x"),  # a Cyrillic letter
        ("a\0.route", "x"),
        ("b.route", None),
        ("models.yaml", None),
        ("a.route", "\ud800"),
        ("a.route", "#" * (1024 * 1024 + 1)),
    ],
)
def test_files_that_no_draft_may_have_are_refused(name: str, text: str | None) -> None:
    """Before anything of it is read."""
    proposal = propose(folder(), {name: text})
    assert kinds(proposal) == {"draft"}
    assert proposal.folder is None


def test_too_many_and_too_large_together_are_refused() -> None:
    """A thousand files, eight MiB."""
    many = {f"f{number}.route": "" for number in range(1001)}
    assert kinds(propose(folder(), many)) == {"draft"}
    large = {f"f{number}.route": "#" * 1024 * 1024 for number in range(9)}
    assert kinds(propose(folder(), large)) == {"draft"}


@pytest.mark.parametrize("draft", [{}, {"a.route": ROUTES}])
def test_a_draft_that_changes_nothing_is_refused(draft: Draft) -> None:
    """There is nothing to write."""
    assert [objection.text for objection in propose(folder(), draft).objections] == ["it changes nothing"]


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("base_url: https://far.example", "base_url: https://elsewhere.example", "leak"),
        ("base_url: https://far.example", "base_url_env: ELSEWHERE", "leak"),
        ("api: openai", "api: openai\n    api_key_env: AWS_SECRET", "leak"),
        (
            "type: local\n    api: ollama",
            "type: local\n    api: ollama\n    base_url: https://far.example",
            "leak",
        ),
        ("type: local\n", "type: local\n    networks: [10.0.0.0/8]\n", "leak"),
        ("type: paid, input_per_1m: 3", "type: paid, input_per_1m: 2", "spending"),
        ("api: openai", "api: openai\n    billing: {on_abort: as-shown}", "spending"),
    ],
)
def test_what_models_yaml_opens_is_judged(before: str, after: str, kind: str) -> None:
    """Addresses, keys, networks, prices, billing."""
    assert kind in kinds(proposed(models_yaml=changed(before, after, MODELS)))


@pytest.mark.parametrize("address", ["https://far.example", "http://127.0.0.1:4000"])
def test_a_cloud_provider_is_never_called_local(address: str) -> None:
    """An address that is none of this machine is an error already; a tunnel on it is a leak."""
    models = changed("https://far.example", address, MODELS)
    local = changed("type: cloud", "type: local", models).replace("type: paid, ", "")
    proposal = propose(folder(models=models), {"models.yaml": local})
    assert kinds(proposal) & {"policy", "leak"}


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("home: {allow_cloud: false}", "home: {allow_cloud: true}", "leak"),
        ("default_mode: home", "default_mode: abroad", "leak"),
        ("labels: [pii]", "labels: [pii, eu]", "leak"),
        ("task_types: [qa, code]\n", "", "leak"),
        ("total_usd: 5,", "total_usd: 500,", "spending"),
        ("holds: bytes", "holds: learnt", "spending"),
        (", monthly: {total_usd: 50}", "", "spending"),
    ],
)
def test_what_policies_yaml_opens_is_judged(before: str, after: str, kind: str) -> None:
    """Modes, closed lists, limits and holds."""
    assert kind in kinds(proposed(policies_yaml=changed(before, after, POLICIES)))


def test_without_policies_yaml_the_built_in_modes_are_judged() -> None:
    """And tests that name a mode of the folder cannot stand."""
    assert not proposed(policies_yaml=None).is_sound


def test_what_the_work_does_not_decide_is_no_permission() -> None:
    """The steps are said."""
    draft = {
        "a.route": changed("forbid g: cloud when sensitive", "forbid g: cloud when sensitive or mode is home")
    }
    (objection, *_) = propose(folder(), draft, most_work=1).objections
    assert objection.kind == "unknown"
    assert "steps did not suffice" in objection.text


def test_a_folder_with_errors_takes_no_draft() -> None:
    """There is no policy to compare with; the first error is named."""
    (objection,) = propose(folder(routes="route r: use clod\n"), {"b.route": "let a = cloud\n"}).objections
    assert objection.text.startswith("the folder itself has errors, and is mended by hand: a.route:1:")


def test_a_draft_that_does_not_read_is_told_where() -> None:
    """As lint says it."""
    (objection,) = proposed(a_route=changed("then cloud", "then clod")).objections
    assert objection.text == "a.route:3: `clod` is no let, provider or model (`cloud` is a similar name)"

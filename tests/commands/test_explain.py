"""`engine explain`: its text, its JSON and its batches."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import combinations, product
from pathlib import Path
from random import Random

import pytest

from engine.decision.cubes import OTHER
from engine.decision.evaluator import decide_live
from engine.decision.facts import INDEX, Facts
from engine.decision.partitions import Column, NameColumn, NumberColumn, SetColumn
from engine.language.diagnostics import Problems
from engine.language.known_names import Names
from engine.language.vocabulary import FACTS, GIVEN, Kind
from engine.policy import Policy, load, load_or_raise
from tests.commands.running import DEFAULT, FOLDERS, GUIDE, Shell, valid

ROOT = Path(__file__).parents[2]
MOST_LINES = 25
TASK = ("type=planning", "criticality=high")


def tasks(policy: Policy, count: int) -> list[list[str]]:
    """Random tasks a user could ask about, as arguments."""
    rng = Random(5)
    providers = policy.names.providers
    types = policy.names.task_types or ("planning", "qa", "routing", "coding", "no-such-type")
    return [
        [
            f"type={rng.choice(types)}",
            f"criticality={rng.choice(['low', 'medium', 'high', 'critical'])}",
            f"latency_sensitivity={rng.choice(['low', 'medium', 'high'])}",
            f"budget_sensitivity={rng.choice(['low', 'medium', 'high'])}",
            f"context_size={rng.choice(['0', '8k', '20000', '100k', '5M'])}",
            f"tool_use_required={rng.choice(['yes', 'no'])}",
            f"mode={rng.choice(list(policy.names.modes))}",
            f"budget.daily.used={rng.choice(['0', '79.9%', '85', '100%'])}",
            f"labels={','.join(rng.sample(policy.names.labels or ['pii'], rng.randint(0, 1)))}",
            f"provider.down={','.join(rng.sample(providers, rng.randint(0, 2) % len(providers)))}",
            f"clock.hour={rng.randrange(24)}",
        ]
        for _ in range(count)
    ]


@pytest.mark.parametrize("folder", FOLDERS.values(), ids=FOLDERS.keys())
def test_one_glance_is_enough(folder: str) -> None:
    """Whatever the task, the text by default is at most 25 lines long; the exit code tells a refusal."""
    from engine.commands.fact_arguments import given_facts
    from engine.decision.explanation_text import explanation_text

    policy = load_or_raise(Path(folder))
    for arguments in tasks(policy, 150):
        given = given_facts(arguments, policy.names)
        explanation = policy.explain(given, dict.fromkeys(given, "command line"))
        text = explanation_text(explanation)
        assert len(text.splitlines()) <= MOST_LINES, f"{arguments}\n{text}"
        valid("explanation", explanation.to_json())


def test_the_answer_comes_first(shell: Shell) -> None:
    """The chosen model, its provider and where it runs."""
    ran = shell("explain", *TASK, "--config", DEFAULT)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[0] == "qwen3:32b (ollama, local)"
    assert "route     mode-local-preferred (policies.yaml:12)" in ran.out


def test_the_bucket_is_shown_where_a_rule_asks_for_it(shell: Shell, tmp_path: Path) -> None:
    """Whoever gave none sees that 0 was taken; elsewhere it is left out."""
    for name in ("models.yaml", "policies.yaml"):
        (tmp_path / name).write_text((Path(DEFAULT) / name).read_text())
    (tmp_path / "main.route").write_text("route r: use local when task.bucket < 10\n")
    config = ("--config", str(tmp_path))
    assert "task.bucket 0 (default)" in shell("explain", "type=qa", *config).out
    assert "task.bucket 12 (command line)" in shell("explain", "type=qa", "bucket=12", *config).out
    (tmp_path / "main.route").write_text("route r: use local when task.type is qa\n")
    assert "task.bucket" not in shell("explain", "type=qa", *config).out


def test_a_refusal_is_an_answer_with_a_code_of_its_own(shell: Shell) -> None:
    """Exit code 3, the reasons on standard output, nothing on standard error."""
    ran = shell("explain", *TASK, "labels=pii", "provider.down=ollama", "--config", DEFAULT)
    assert (ran.code, ran.err) == (3, "")
    assert ran.out.startswith("refused")
    for rule in ("private-stays-home", "provider-down"):
        assert rule in ran.out


def test_full_holds_every_model_fact_and_step(shell: Shell) -> None:
    """--full leaves nothing out."""
    ran = shell("explain", *TASK, "mode=local-only", "--config", DEFAULT, "--full")
    policy = load_or_raise(Path(DEFAULT))
    for model in policy.catalogue.models:
        assert model.key in ran.out
    assert "mode-forbids-cloud" in ran.out
    assert ran.out.count("\n") > shell("explain", *TASK, "mode=local-only", "--config", DEFAULT).out.count(
        "\n"
    )


def test_json_fits_its_schema_and_says_the_same(shell: Shell) -> None:
    """The JSON has every documented field, with the sources of the facts."""
    ran = shell("explain", *TASK, "--config", DEFAULT, "--format", "json")
    answer = valid("explanation", ran.json)
    assert (answer["outcome"], answer["model"], answer["provider"]) == ("chosen", "qwen3:32b", "ollama")
    assert answer["chain"][0] == answer["candidates"][0]["model"]
    assert answer["route"]["name"] == "mode-local-preferred"
    assert answer["facts"]["task.type"] == {"value": "planning", "source": "command line"}
    assert answer["facts"]["task.context_size"] == {"value": 0, "source": "default"}
    assert answer["facts"]["mode"]["source"].startswith("policies.yaml:")
    assert set(answer["facts"]) == {fact.name for fact in GIVEN}


def test_a_refusal_in_json_has_no_model(shell: Shell) -> None:
    """Null, not an empty text."""
    ran = shell(
        "explain",
        "type=qa",
        "provider.down=ollama",
        "mode=local-only",
        "--config",
        DEFAULT,
        "--format",
        "json",
    )
    answer = valid("explanation", ran.json)
    assert ran.code == 3
    assert (answer["outcome"], answer["model"], answer["provider"], answer["locality"], answer["chain"]) == (
        *("refused", None, None, None),
        [],
    )


@pytest.mark.parametrize(
    "facts",
    [
        ("task.type=planning", "task.criticality=high"),
        ("criticality=high", "type=planning"),
        ("type=planning", "criticality=high", "budget.daily.used=0"),
        ("type=planning", "criticality=high", "tool_use_required=false", "labels=", "clock.weekday=mon"),
    ],
)
def test_facts_may_be_spelled_in_several_ways(shell: Shell, facts: tuple[str, ...]) -> None:
    """`task.` may be left out, order does not matter, a default may be given."""
    one = shell("explain", *TASK, "--config", DEFAULT).out.splitlines()[:4]
    assert shell("explain", *facts, "--config", DEFAULT).out.splitlines()[:4] == one


def test_percentages_and_tokens_are_read_as_people_write_them(shell: Shell) -> None:
    """`85` and `85%` are one value, `32k` is 32 000."""
    with_sign, without = (
        shell(
            "explain", "type=qa", f"budget.daily.used={used}", "--config", DEFAULT, "--format", "json"
        ).json["facts"]
        for used in ("85%", "85")
    )
    assert with_sign == without
    answer = shell("explain", "type=qa", "context_size=32k", "--config", DEFAULT, "--format", "json").json
    assert answer["facts"]["task.context_size"]["value"] == 32_000


# --- why not --------------------------------------------------------------------------------------------


def values_of_every_cell(column: Column, names: Names) -> Iterable[object]:
    """At least one value for each cell of a fact that is no percentage."""
    fact = FACTS[column.fact]
    if fact.kind is Kind.FLAG:
        return (True, False)
    match column:
        case NumberColumn():
            return (0, *(value for value, _ in column.edges))
        case SetColumn():
            elements = ["something-else" if element == OTHER else element for element in column.elements]
            sizes = range(len(elements) + 1)
            return [frozenset(some) for size in sizes for some in combinations(elements, size)]
        case NameColumn():
            return names.known_values(fact) or (*column.names, "something-else")
    raise AssertionError(column)


def brute_force(policy: Policy, facts: Facts, model_key: str) -> int | None:
    """The fewest facts of the task, the mode or the clock that must change for the model to be chosen."""
    columns = policy.compiled.columns
    fixed = policy.compiled.full
    choices = []
    for column in columns:
        now = column.lookup(facts[column.position])
        if column.fact.startswith(("task.", "mode", "clock.")):
            cells = {
                repr(cell): cell for cell in map(column.lookup, values_of_every_cell(column, policy.names))
            }
            choices.append([(int(cell != now), column.mask(cell)) for cell in cells.values()])
        else:
            fixed &= column.mask(now)
    best = None
    for cells in product(*choices):
        changed = sum(change for change, _ in cells)
        if best is None or changed < best:
            live = fixed
            for _, mask in cells:
                live &= mask
            chain = decide_live(policy.compiled, live).chain
            if chain and chain[0].key == model_key:
                best = changed
    return best


def test_the_smallest_change_is_the_smallest() -> None:
    """Checked against every combination of cells there is, for tasks that lie apart."""
    from engine.analysis.why_not import why_not

    problems = Problems()
    policy = load(GUIDE, problems)
    assert policy is not None
    for given in (
        {"task.type": "planning"},
        {"task.type": "qa", "task.tool_use_required": True, "mode": "local-only"},
        {"task.type": "routing", "task.criticality": "high", "mode": "performance"},
        {"task.type": "planning", "task.context_size": 9000},
        {"task.type": "planning", "provider.down": frozenset({"anthropic"})},
    ):
        explanation = policy.explain(given, {})
        for model in policy.catalogue.models:
            answer = why_not(policy.explainer, explanation, model.key)
            expected = brute_force(policy, explanation.facts, model.key)
            assert answer.is_complete
            assert expected == (None if answer.change is None else len(answer.change)), (given, model.key)
            if answer.change:
                changed = policy.explain({**given, **answer.change}, {})
                assert changed.model is not None
                assert changed.model.key == model.key


def test_why_not_names_blockers_and_the_change(shell: Shell) -> None:
    """In text and in JSON; the change can be pasted behind `engine explain`."""
    facts = ("type=planning", "mode=local-only")
    ran = shell("explain", *facts, "--config", str(GUIDE), "--why-not", "claude-3-5-sonnet")
    assert ran.code == 0
    assert "mode-forbids-cloud (base.route:" in ran.out
    assert ran.out.splitlines()[-2] == ("it would be chosen with mode is performance")
    change = ran.out.splitlines()[-1].removeprefix("for example: ").split()
    given = {word.partition("=")[0]: word for word in (*facts, *change)}
    changed = shell("explain", *given.values(), "--config", str(GUIDE), "--format", "json").json
    assert changed["model"] == "claude-3-5-sonnet"
    as_json = shell(
        "explain", *facts, "--config", str(GUIDE), "--why-not", "claude-3-5-sonnet", "--format", "json"
    )
    answer = valid("why-not", as_json.json)
    assert [blocker["rule"] for blocker in answer["blockers"]] == ["mode-forbids-cloud"]
    assert answer["reason"] == "1 guard blocks it"


def test_why_not_of_the_chosen_model_says_so(shell: Shell) -> None:
    """No change is needed."""
    ran = shell("explain", "type=qa", "--config", str(GUIDE), "--why-not", "llama3-8b-instruct")
    assert (ran.code, ran.out) == (0, "llama3-8b-instruct is chosen\n")
    as_json = shell(
        "explain", "type=qa", "--config", str(GUIDE), "--why-not", "llama3-8b-instruct", "--format", "json"
    )
    assert valid("why-not", as_json.json)["change"] == {}


def test_why_not_of_the_readme_shows_a_change(shell: Shell) -> None:
    """What README.md invites to try says what would choose the model."""
    (line,) = re.findall(
        r"^\$ engine (explain .*--why-not \S+)", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE
    )
    ran = shell(*line.split())
    assert ran.code == 0
    assert "it would be chosen with " in ran.out


def test_why_not_of_no_model_offers_the_near_one(shell: Shell) -> None:
    """A slip in a model's name is no answer."""
    ran = shell("explain", "type=qa", "--config", str(GUIDE), "--why-not", "claude-3-5-sonet")
    assert (ran.code, ran.out) == (2, "")
    assert "did you mean claude-3-5-sonnet" in ran.err


@pytest.mark.parametrize("model", ["claude-opus-5-5", "gpt-6-sol", "gemma3:12b", "qwen3:4b"])
def test_why_not_on_the_default_set_comes_to_an_end(shell: Shell, model: str) -> None:
    """Either a change or the word that there is none: the default set is within the work allowed."""
    answer = valid(
        "why-not",
        shell("explain", *TASK, "--config", DEFAULT, "--why-not", model, "--format", "json").json,
    )
    assert answer["complete"]


# --- batch ----------------------------------------------------------------------------------------------


def test_a_batch_answers_every_line_in_its_place(shell: Shell, tmp_path: Path) -> None:
    """Bad lines get an error in the place of their answer, and exit code 2."""
    lines: list[bytes] = [
        b'{"type": "planning", "criticality": "high", "labels": ["pii"], "budget.daily.used": 85}',
        b'{"task.type": "qa", "task.tool_use_required": true, "provider.down": ["anthropic"]}',
        b"",
        b"not json",
        b'["type"]',
        b'{"type": "nonsense"}',
        b'{"type": "qa", "labels": "pii"}',
        b'{"type": "qa", "task.type": "qa"}',
        b'{"criticality": "high"}',
        b'{"type": "qa", "context_size": ' + b"9" * 5000 + b"}",
        b'{"type": "qa", "context_size": 1e30}',
        b'{"type": "qa", "budget.daily.used": NaN}',
        b'{"type": "qa", "budget.daily.used": -1}',
        b'{"type": "qa", "tool_use_required": "yes"}',
        b'{"type": "qa", "labels": ["\\ud800"]}',
        b'{"type": "\xff"}',
        b"[" * 100_000,
        b'{"type": "qa", "mode": "local-only", "provider.down": ["ollama"]}',
    ]
    batch = tmp_path / "tasks.jsonl"
    batch.write_bytes(b"\n".join(lines))
    ran = shell("explain", "--batch", str(batch), "--config", DEFAULT)
    answers = [json.loads(line) for line in ran.out.splitlines()]
    assert (ran.code, ran.err, len(answers)) == (2, "", len(lines) - 1)
    good = [answers[0], answers[1], answers[-1]]
    for answer in good:
        valid("explanation", answer)
    assert [answer["outcome"] for answer in good] == ["chosen", "chosen", "refused"]
    assert good[0]["facts"]["budget.daily.used"] == {"value": 85, "source": "batch"}
    for number, answer in enumerate(answers[2:-1], start=4):
        assert valid("batch-error", answer)["error"].startswith(f"line {number}: ")


def test_a_batch_of_good_lines_is_clean_even_with_refusals(shell: Shell, tmp_path: Path) -> None:
    """Refusals do not change the exit code 0."""
    batch = tmp_path / "tasks.jsonl"
    batch.write_text('{"type": "qa"}\r\n{"type": "qa", "mode": "local-only", "provider.down": ["ollama"]}\n')
    ran = shell("explain", "--batch", str(batch), "--config", DEFAULT)
    assert (ran.code, ran.err) == (0, "")
    assert [json.loads(line)["outcome"] for line in ran.out.splitlines()] == ["chosen", "refused"]


def test_a_line_of_a_batch_is_what_explain_says(shell: Shell, tmp_path: Path) -> None:
    """But for the source of its facts."""
    batch = tmp_path / "tasks.jsonl"
    batch.write_text('{"type": "planning", "criticality": "high"}\n')
    line = json.loads(shell("explain", "--batch", str(batch), "--config", DEFAULT).out)
    alone = shell("explain", *TASK, "--config", DEFAULT, "--format", "json").json
    for answer in (line, alone):
        for fact in answer["facts"].values():
            del fact["source"]
    assert line == alone


@pytest.mark.parametrize("wrong", ["missing.jsonl", "."])
def test_a_batch_that_cannot_be_read_is_said(shell: Shell, tmp_path: Path, wrong: str) -> None:
    """A missing file, or a folder."""
    ran = shell("explain", "--batch", str(tmp_path / wrong), "--config", DEFAULT)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("engine explain: cannot read ")


def test_a_batch_takes_no_other_facts(shell: Shell) -> None:
    """Two sources of facts are a misunderstanding."""
    ran = shell("explain", "type=qa", "--batch", "x", "--config", DEFAULT)
    assert (ran.code, ran.out) == (2, "")
    assert "--batch" in ran.err


# --- live -----------------------------------------------------------------------------------------------


def test_explain_never_looks_at_the_machine(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --live neither the mode nor the keys of the environment count."""
    before = shell("explain", *TASK, "--config", DEFAULT).out
    monkeypatch.setenv("MODEL_ROUTING_MODE", "local-only")
    assert shell("explain", *TASK, "--config", DEFAULT).out == before


def test_live_takes_the_machine_into_account(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mode of the environment, a key that is not set, the clock: each with its source."""
    monkeypatch.setenv("MODEL_ROUTING_MODE", "performance")
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://127.0.0.1:9")
    ran = shell("explain", *TASK, "--config", DEFAULT, "--live", "--format", "json")
    facts = valid("explanation", ran.json)["facts"]
    assert facts["mode"] == {"value": "performance", "source": "MODEL_ROUTING_MODE"}
    assert {"anthropic", "openai"} <= set(facts["provider.down"]["value"])
    assert "ANTHROPIC_API_KEY" in facts["provider.down"]["source"]
    assert facts["clock.hour"]["source"] == "clock"


def test_every_given_fact_is_told(shell: Shell) -> None:
    """The text repeats the facts of the command line."""
    assert INDEX["task.type"] == 0
    ran = shell("explain", "type=qa", "latency_sensitivity=medium", "--config", DEFAULT)
    assert "task.latency_sensitivity medium" in ran.out


def test_a_crowded_catalogue_still_fits_one_glance() -> None:
    """Sixty models, sixty labels, guards of every kind: 25 lines, and --full has all of it."""
    from engine.config.folder import folder_in_memory
    from engine.decision.explanation_text import explanation_text
    from engine.policy import build

    entries = "".join(
        f"      - {{id: a-model-with-quite-a-long-name-{number}, max_context: {8192 + number % 5}, "
        "quality_tier: low, "
        f"latency_tier: low, capabilities: [c{number % 7}]}}\n"
        for number in range(60)
    )
    rules = "".join(
        f"forbid guard-with-a-long-name-{number}: model.capabilities has c{number} or model.max_context > "
        "8194 "
        f'because "{"a long reason " * 12}"\n'
        f"forbid watching-{number} (watch): any\n"
        for number in range(6)
    ) + "".join(
        f"prefer favoured-for-the-label-{number}: local by 1 when task.labels has l{number}\n"
        for number in range(60)
    )
    problems = Problems()
    folder = folder_in_memory(
        f"providers:\n  ollama:\n    type: local\n    models:\n{entries}",
        None,
        {"a.route": rules},
        problems=problems,
    )
    policy = folder and build(folder, problems)
    assert policy, [problem.message for problem in problems]
    explanation = policy.explain(
        {"task.type": "t" * 500, "task.labels": frozenset(f"l{n}" for n in range(60))}, {}
    )
    assert explanation.outcome == "chosen"
    assert len(explanation_text(explanation).splitlines()) <= MOST_LINES
    full = explanation_text(explanation, full=True)
    assert all(model.key in full for model in policy.catalogue.models)
    assert full.count("favoured-for-the-label-59") == len(explanation.chain)
    refused = policy.explain(
        {"task.type": "qa", "task.context_size": 10_000, "provider.down": frozenset({"ollama"})}, {}
    )
    assert refused.outcome == "refused"
    assert len(explanation_text(refused).splitlines()) <= MOST_LINES

"""Meaning: each statement checked, each expression read into the condition it stands for."""

import re
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from engine.language import syntax_tree as tree
from engine.language.checked_policy import (
    All,
    Any,
    ChainIs,
    CheckedPolicy,
    Compare,
    Condition,
    Constant,
    CrossCompare,
    CrossName,
    Forbid,
    Has,
    In,
    IsEmpty,
    ModelsAre,
    Not,
    Origin,
    Prefer,
    PriceUnknown,
    Refused,
    Require,
    RouteIs,
    Use,
    Weigh,
)
from engine.language.diagnostics import Diagnostic, Level, Problems
from engine.language.known_names import ModeMeaning, Names
from engine.language.messages import names as name_messages
from engine.language.messages import statements as statement_messages
from engine.language.messages import types as type_messages
from engine.language.parser import parse
from engine.language.source import Source
from engine.language.type_checker import MOST_RULES, check
from tests.diagnostics.expectations import expected, found
from tests.language.known_names import GUIDE, HOSPITAL, NAMES, base_file, file

MEANING = Path(__file__).parents[1] / "diagnostics" / "meaning"
LOWERED = "route mode-local-preferred: use local, then cloud when mode is local-preferred"


def lowered(text: str) -> list[tree.Rule]:
    return [rule for rule in file(text, "policies.yaml").statements if isinstance(rule, tree.Rule)]


def checked(text: str, names: Names = HOSPITAL) -> tuple[CheckedPolicy, list[Diagnostic]]:
    """A user's file, checked on its own with the base file behind it."""
    problems = Problems()
    policy = check([file(text)], [], [base_file()], names, problems)
    return policy, list(problems)


def good(text: str, names: Names = HOSPITAL) -> CheckedPolicy:
    policy, problems = checked(text, names)
    assert problems == []
    return policy


def condition(text: str, names: Names = HOSPITAL) -> Condition:
    """What an expression means after the `when` of a guard, where everything may stand."""
    return good(f"forbid x: any when {text}", names).rules[0].condition


def selector(text: str, names: Names = HOSPITAL) -> Condition:
    effect = good(f"forbid x: {text}", names).rules[0].effect
    assert isinstance(effect, Forbid)
    return effect.selector


# --- Conditions as a test writes them: where they were written is no part of what they mean ---

HERE = Source("here", "").span(0, 0)


def one_in(subject: str, *names: str) -> Condition:
    return In(subject, frozenset(names), HERE)


def every(*parts: Condition) -> Condition:
    return All(parts, HERE)


def one_of(*parts: Condition) -> Condition:
    return Any(parts, HERE)


compare = partial(Compare, span=HERE)
has = partial(Has, span=HERE)
empty = partial(IsEmpty, span=HERE)
cross = partial(CrossCompare, span=HERE)
cross_name = partial(CrossName, span=HERE)
no = partial(Not, span=HERE)
constant = partial(Constant, span=HERE)
price_unknown = partial(PriceUnknown, span=HERE)


# --- Diagnostics as data ---


@pytest.mark.parametrize("path", sorted(MEANING.glob("*.route")), ids=lambda path: path.stem)
def test_every_line_has_the_diagnostics_it_expects(path: Path) -> None:
    """Each file says on the line itself what is wrong there; nothing else is reported."""
    text = path.read_text(encoding="utf-8")
    [names] = re.findall(r"^# names: (\w+)$", text, re.MULTILINE)
    problems = Problems()
    parsed = parse(Source(path.name, text), problems)
    check([parsed], lowered(LOWERED), [base_file()], NAMES[names], problems)

    assert expected(text) == found(problems)


def test_every_diagnostic_of_meaning_has_a_case() -> None:
    """Every sentence about names, types and statements occurs in a case."""
    modules = (name_messages, statement_messages, type_messages)
    sources = [Path(module.__file__).read_text(encoding="utf-8") for module in modules]
    slugs = set(re.findall(r'(?:error|warning|Sentence|SentenceWith)\(\s*"([a-z-]+)"', "".join(sources)))
    cases = {
        one.slug for path in MEANING.glob("*.route") for one in expected(path.read_text(encoding="utf-8"))
    }

    assert slugs - cases == {"too-many-rules"}  # see test_more_rules_than_a_policy_may_have


@pytest.mark.parametrize("path", sorted(MEANING.glob("*.route")), ids=lambda path: path.stem)
def test_every_sentence_is_lower_case_and_has_no_full_stop(path: Path) -> None:
    """One tone for all: lower case, no full stop, and always something to do about it."""
    text = path.read_text(encoding="utf-8")
    [known] = re.findall(r"^# names: (\w+)$", text, re.MULTILINE)
    problems = Problems()
    check([file(text)], lowered(LOWERED), [base_file()], NAMES[known], problems)

    for problem in problems:
        for sentence in (problem.message, problem.help or "", *(note.label for note in problem.notes)):
            assert sentence
            assert not sentence.endswith(".")
            assert not re.match(r"[A-Z]", sentence)
            assert not re.search(r"\b(None|True|str|int|Decimal)\b", re.sub("`[^`]*`", "", sentence))


def test_a_similar_name_shows_where_it_is_declared() -> None:
    """The second span of an unknown name is the place of the one that was probably meant."""
    _, [problem] = checked("forbid x: cloud when mode is balancd")

    assert problem.help == "`balanced` is a similar mode"
    assert [note.span.text for note in problem.notes] == ["balanced"]


def test_a_fact_behind_a_let_is_shown_where_the_let_asks_it() -> None:
    """The problem is the use of the let; the place in the let is the second span."""
    _, [problem] = checked("let sick = task.labels has phi\nforbid x: cloud and sick")

    assert problem.span.text == "sick"
    assert str(problem.span) == "main.route:2:21"
    assert [note.span.text for note in problem.notes] == ["task.labels has phi"]


def test_control_characters_of_a_name_are_shown_as_escapes() -> None:
    """What an author wrote is repeated verbatim, but can do nothing to a terminal."""
    span = Source("x", '"a\u202eb"').span(0, 5)

    assert "\\u{202e}" in name_messages.unknown_member(span, "a\u202eb", "models", ["m"], {}, True).message


# --- Facts against constants ---


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("task.type is qa", one_in("task.type", "qa")),
        ("task.type is not qa", no(one_in("task.type", "qa"))),
        ("task.type in [qa, agent]", one_in("task.type", "qa", "agent")),
        ("task.type not in [qa]", no(one_in("task.type", "qa"))),
        ("task.criticality >= high", one_in("task.criticality", "high", "critical")),
        ("task.criticality < medium", one_in("task.criticality", "low")),
        ("task.criticality in medium..high", one_in("task.criticality", "medium", "high")),
        ("clock.weekday <= tue", one_in("clock.weekday", "mon", "tue")),
        ("clock.weekday in sat..mon", one_in("clock.weekday", "sat", "sun", "mon")),
        ("clock.weekday in mon..mon", one_in("clock.weekday", "mon")),
        ("task.context_size > 32k", compare("task.context_size", ">", 32_000)),
        ("task.context_size <= 1.5M", compare("task.context_size", "<=", 1_500_000)),
        ("task.context_size is not 8192", no(compare("task.context_size", "is", 8192))),
        ("budget.daily.used >= 80%", compare("budget.daily.used", ">=", Decimal(80))),
        ("budget.daily.used > 99.5%", compare("budget.daily.used", ">", Decimal("99.5"))),
        ("task.bucket < 10", compare("task.bucket", "<", 10)),
        (
            "clock.hour in 9..17",
            every(compare("clock.hour", ">=", 9), compare("clock.hour", "<", 17)),
        ),
        (
            "clock.hour in 22..6",
            one_of(compare("clock.hour", ">=", 22), compare("clock.hour", "<", 6)),
        ),
        ("clock.hour in 18..0", compare("clock.hour", ">=", 18)),
        ("clock.hour not in 0..6", no(compare("clock.hour", "<", 6))),
        (
            "clock.hour in [3, 4]",
            one_of(compare("clock.hour", "is", 3), compare("clock.hour", "is", 4)),
        ),
        ("task.tool_use_required", one_in("task.tool_use_required", "yes")),
        ("task.tool_use_required is no", one_in("task.tool_use_required", "no")),
        ("task.tool_use_required is not no", one_in("task.tool_use_required", "yes")),
        ("task.labels has pii", has("task.labels", "pii")),
        (
            "task.labels has any [pii, phi]",
            one_of(has("task.labels", "pii"), has("task.labels", "phi")),
        ),
        (
            "task.labels has all [pii, phi]",
            every(has("task.labels", "pii"), has("task.labels", "phi")),
        ),
        ("task.labels has any [pii]", has("task.labels", "pii")),
        ("provider.down is empty", empty("provider.down")),
        ("provider.down is not empty", no(empty("provider.down"))),
        ('models.warm has "openai/gpt-4o"', has("models.warm", "openai/gpt-4o")),
    ],
)
def test_a_test_of_a_fact_is_read_exactly(text: str, meaning: Condition) -> None:
    """Scales and ranges are spelled out, units are read, numbers stay exact."""
    assert condition(text) == meaning


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("mode.allow_cloud", one_in("mode", "local-preferred", "balanced", "performance")),
        ("mode.allow_cloud is no", one_in("mode", "local-only")),
        ("mode.cloud_usage is aggressive", one_in("mode", "performance")),
        ("mode.cloud_usage in [none, balanced]", one_in("mode", "local-only", "balanced")),
        (
            "budget.exhausted",
            one_of(
                compare("budget.daily.used", ">=", Decimal(100)),
                compare("budget.monthly.used", ">=", Decimal(100)),
            ),
        ),
    ],
)
def test_a_derived_fact_is_replaced_by_what_it_follows_from(text: str, meaning: Condition) -> None:
    """No later phase meets a derived fact, so proofs over the others are exact."""
    assert condition(text) == meaning


def test_a_strategy_that_no_mode_has_is_never() -> None:
    """No mode is left, and an empty list of modes is the constant it means."""
    names = Names({"only": ModeMeaning(True, "balanced")}, "only", ("ollama",), ())

    assert condition("mode.cloud_usage is aggressive", names) == constant(False)
    assert condition("mode.allow_cloud is no", names) == constant(False)


def test_empty_is_a_value_of_a_name() -> None:
    """After a set `is empty` asks for members; after a name it is a value like any other."""
    assert condition("task.type is empty", GUIDE) == one_in("task.type", "empty")
    assert condition("task.type is not empty", GUIDE) == no(one_in("task.type", "empty"))


def test_open_task_types_and_labels_may_be_anything() -> None:
    """Without `task_types` and `labels` in policies.yaml any name will do."""
    good("forbid x: any when task.type is poetry and task.labels has any [blue, green]", GUIDE)


# --- Models ---


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("local", one_in("locality", "local")),
        ("any", constant(True)),
        ("openai", one_in("model.provider", "openai")),
        ("llama3.1:8b", one_in("model.id", "llama3.1:8b")),
        ('"mistral-large"', one_in("model.id", "mistral-large")),
        ('"openai/gpt-4o"', one_in("model.id", "openai/gpt-4o")),
        ('"ollama/llama3.1:8b"', one_in("model.id", "llama3.1:8b")),
        ("model.id is mistral", one_in("model.id", "mistral")),
        ("model.provider is mistral", one_in("model.provider", "mistral")),
        ("model.provider not in [openai, azure]", no(one_in("model.provider", "openai", "azure"))),
        ("model.quality >= high", one_in("model.quality", "high", "very_high")),
        ("model.tools is not no", no(one_in("model.tools", "no"))),
        ("model.zone is eu", one_in("model.zone", "eu")),
        ("model.tags has gpu", has("model.tags", "gpu")),
        ("model.capabilities is empty", empty("model.capabilities")),
        ("model.max_context >= 32k", compare("model.max_context", ">=", 32_000)),
        ("model.price < $5", compare("model.price", "<", Decimal(5))),
        ("model.price < 5", compare("model.price", "<", Decimal(5))),
        ("model.price is unknown", price_unknown()),
        ("model.price is not unknown", no(price_unknown())),
        ("model.call_cost > $0.05", compare("model.call_cost", ">", Decimal("0.05"))),
        ("cloud and not (openai or azure)", every(
            one_in("locality", "cloud"),
            no(one_of(one_in("model.provider", "openai"), one_in("model.provider", "azure"))),
        )),
    ],
)  # fmt: skip
def test_a_selector_is_read_exactly(text: str, meaning: Condition) -> None:
    """Words that stand alone mean locality, provider or model; attributes are compared like facts."""
    assert selector(text) == meaning


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (
            "task.context_size > model.max_context",
            cross("task.context_size", ">", "model.max_context"),
        ),
        (
            "model.max_context < task.context_size",
            cross("task.context_size", ">", "model.max_context"),
        ),
        (
            "model.max_context >= task.context_size",
            cross("task.context_size", "<=", "model.max_context"),
        ),
        ("task.type is model.zone", cross_name("task.type", "model.zone")),
        ("model.zone is not task.type", no(cross_name("task.type", "model.zone"))),
        ("provider.down has model.provider", cross_name("provider.down", "model.provider")),
        ("models.warm has model.id", cross_name("models.warm", "model.id")),
        ("model.capabilities has task.type", cross_name("task.type", "model.capabilities")),
    ],
)
def test_a_fact_against_an_attribute_stands_the_same_way_round(text: str, meaning: Condition) -> None:
    """However it is written, the fact comes first."""
    assert selector(text) == meaning


# --- Lets ---


def test_a_let_that_is_used_twice_is_one_node() -> None:
    """So a policy's conditions are a graph no larger than its text."""
    policy = good("let sick = task.labels has phi\nforbid a: cloud when sick\nforbid b: local when sick")

    assert policy.rules[0].condition is policy.rules[1].condition


def test_a_named_list_that_is_used_twice_is_one_node() -> None:
    """A long list in many rules costs its length once."""
    policy = good(
        "let care = [pii, phi]\nforbid a: cloud when task.labels has any care\nforbid b: local when "
        "task.labels has any care"
    )

    assert policy.rules[0].condition is policy.rules[1].condition


def test_a_named_list_is_read_for_each_fact_apart() -> None:
    """The same words may be labels here and task types there."""
    policy = good("let w = [a, b] forbid x: any when task.labels has all w and task.type in w", GUIDE)

    assert policy.rules[0].condition == every(
        every(has("task.labels", "a"), has("task.labels", "b")),
        one_in("task.type", "a", "b"),
    )


def test_lets_that_double_do_not_blow_up() -> None:
    """Sixty lets, each made of the last one twice, would be a trillion nodes if they were copied."""
    lets = "".join(f"let a{n} = a{n - 1} and a{n - 1}\n" for n in range(1, 60))
    policy = good(f"let a0 = task.type is qa\n{lets}forbid x: cloud when a59")

    assert isinstance(policy.rules[0].condition, All)


def test_an_error_in_a_let_leaves_out_the_rules_that_use_it() -> None:
    """One root cause, one diagnostic; rules beside it are checked and kept."""
    policy, problems = checked("let w = task.kind is x forbid a: cloud when w forbid b: cloud")

    assert [problem.slug for problem in problems] == ["unknown-fact"]
    assert [rule.name for rule in policy.rules if rule.origin is Origin.USER] == ["b"]


def test_a_let_with_a_grammar_error_is_not_called_unknown() -> None:
    """A use of a statement that was left out is not reported."""
    problems = Problems()
    broken = tree.File(
        Source("a.route", ""),
        file(
            'forbid a: half when half and task.type in half\ntest "t": given task.type is qa expect refused '
            "because half"
        ).statements,
        broken=("half",),
    )
    check([broken], [], [], HOSPITAL, problems)

    assert list(problems) == []


def test_lets_are_not_called_unused_when_a_statement_was_left_out() -> None:
    """It may have used them."""
    problems = Problems()
    check(
        [tree.File(Source("a.route", ""), file("let a = cloud").statements, broken=("",))],
        [],
        [],
        GUIDE,
        problems,
    )

    assert list(problems) == []


def test_a_let_used_only_by_a_test_or_proof_is_used() -> None:
    """Questions about a policy are part of it."""
    good(
        'let a = cloud let b = task.type is qa prove x: never a when b test "t": given task.type is qa '
        "expect a"
    )


def test_the_lets_of_base_may_stay_unused() -> None:
    """`all-up` is there for whoever wants it."""
    policy = good("")

    assert "all-up" in policy.lets


# --- Rules ---


def test_rules_stand_in_the_order_that_decides() -> None:
    """User files in their order, then lowered YAML, then the engine's own."""
    problems = Problems()
    users = [file("forbid b: cloud", "1.route"), file("forbid a: cloud", "2.route")]
    policy = check(users, lowered(LOWERED), [base_file()], GUIDE, problems)

    assert [rule.name for rule in policy.rules][:4] == [
        "b",
        "a",
        "mode-local-preferred",
        "mode-forbids-cloud",
    ]
    assert [rule.origin for rule in policy.rules][1:4] == [Origin.USER, Origin.YAML, Origin.BASE]
    assert list(problems) == []


def test_the_parts_of_a_rule_are_all_there() -> None:
    """Effect, condition, reason, watching, and where the name stands."""
    policy = good('require r (watch): local when task.labels has pii because "home"')
    rule = policy.rules[0]

    assert rule.effect == Require(one_in("locality", "local"))
    assert rule.condition == has("task.labels", "pii")
    assert (rule.because, rule.watch, rule.name_span.text) == ("home", True, "r")


def test_without_when_a_rule_always_holds() -> None:
    """No `when` is the condition that is always true."""
    assert good("forbid x: cloud").rules[0].condition == constant(True)


def test_unless_is_and_not() -> None:
    """`when A unless B` is `A and not B`; `unless B` alone is `not B`."""
    qa, pii = one_in("task.type", "qa"), has("task.labels", "pii")

    assert good("forbid x: cloud when task.type is qa unless task.labels has pii").rules[
        0
    ].condition == every(qa, no(pii))
    assert good("forbid x: cloud unless task.labels has pii").rules[0].condition == no(pii)


def test_avoid_is_prefer_with_the_sign_turned() -> None:
    """Points are exact decimals, below zero for `avoid`."""
    policy = good("prefer a: local by 2.5 avoid b: cloud by 0.1")

    assert [rule.effect.points for rule in policy.rules[:2] if isinstance(rule.effect, Prefer)] == [
        Decimal("2.5"),
        Decimal("-0.1"),
    ]


def test_weights_are_exact_in_any_order() -> None:
    """0.1 + 0.2 + 0.7 is 1 here, as it is for people."""
    policy = good("weigh w: latency 0.2, cost 0.1, quality 0.7")

    assert policy.rules[0].effect == Weigh(Decimal("0.1"), Decimal("0.7"), Decimal("0.2"))


def test_a_route_keeps_its_tiers_in_order() -> None:
    """`use A, then B` is two selectors in that order."""
    policy = good("route r: use local, then openai when task.type is qa")

    assert policy.rules[0].effect == Use((one_in("locality", "local"), one_in("model.provider", "openai")))


def test_lowered_rules_may_name_what_nobody_has() -> None:
    """What policies.yaml names is checked where it is read, with that file's rules."""
    problems = Problems()
    rules = lowered(
        "prefer override-x-providers: model.provider in [nobody] by 20 when task.type is other\n"
        "prefer override-x-capability-1: model.capabilities has singing by 10 when task.type is other"
    )
    policy = check([], rules, [], HOSPITAL, problems)

    assert [rule.name for rule in policy.rules] == ["override-x-providers", "override-x-capability-1"]
    assert list(problems) == []


def test_more_rules_than_a_policy_may_have() -> None:
    """One diagnostic at the first rule that is too many."""
    problems = Problems()
    rules = lowered("forbid x: cloud") * (MOST_RULES + 2)
    check([tree.File(Source("a.route", ""), tuple(rules))], [], [], GUIDE, problems)

    assert [problem.slug for problem in problems if problem.slug != "duplicate-name"] == ["too-many-rules"]


# --- Tests and proofs ---


def test_what_a_case_gives_is_read_as_values() -> None:
    """Members of a set add up; numbers are exact; yes/no facts are true or false."""
    policy = good(
        'test "t": given task.type is qa, task.labels has pii, task.labels has phi, provider.down is empty, '
        "budget.daily.used is 80%, clock.hour is 3, not task.tool_use_required, mode is balanced expect local"
    )

    assert policy.tests[0].cases[0].given == {
        "task.type": "qa",
        "task.labels": frozenset({"pii", "phi"}),
        "provider.down": frozenset(),
        "budget.daily.used": Decimal(80),
        "clock.hour": 3,
        "task.tool_use_required": False,
        "mode": "balanced",
    }


def test_every_outcome_is_read() -> None:
    """A selector for the first model, the three quantifiers, a chain, a route, a refusal."""
    policy = good(
        "route r: use any\n"
        'test "t":\n'
        "    given task.type is qa expect only local\n"
        '    given task.type is qa expect chain "azure/gpt-4o", mistral, ...\n'
        "    given task.type is qa expect chain mistral\n"
        "    given task.type is qa expect route r\n"
        "    given task.type is qa expect refused because provider-down"
    )

    local = one_in("locality", "local")
    assert [case.expectation for case in policy.tests[0].cases] == [
        ChainIs("only", local),
        ModelsAre(("azure/gpt-4o", "mistral"), is_open=True),
        ModelsAre(("mistral",), is_open=False),
        RouteIs("r"),
        Refused(),
    ]
    assert policy.tests[0].cases[4].because == "provider-down"


def test_a_proof_keeps_quantifier_selector_and_condition() -> None:
    """`prove` is the same question as `expect only S`, asked for all facts."""
    [proof] = good("prove p: some local when task.type is qa").proofs

    assert proof.expectation == ChainIs("some", one_in("locality", "local"))
    assert proof.condition == one_in("task.type", "qa")


# --- The whole ---


def test_the_base_guards_are_checked_without_a_word() -> None:
    """The rules of the engine's own, with any catalogue and any modes."""
    for names in (GUIDE, HOSPITAL, Names({}, "x", (), ())):
        policy = good("", names)

        assert len(policy.rules) == 12
        assert {rule.origin for rule in policy.rules} == {Origin.BASE}


def test_a_flat_or_of_fifty_thousand_parts_is_no_nesting() -> None:
    """Only brackets and `not` nest; a long chain is wide, not deep."""
    parts = tuple(
        tree.Name(tree.Word("local", span), span)
        for span in [Source("x", "local").span(0, 5)]
        for _ in range(50_000)
    )
    [rule] = lowered("forbid x: local")
    assert isinstance(rule, tree.Guard)
    wide = tree.Guard("forbid", rule.name, False, tree.Or(parts, rule.span), rule.clauses, rule.span)
    problems = Problems()
    policy = check([tree.File(rule.span.source, (wide,))], [], [], GUIDE, problems)

    assert list(problems) == []
    assert len(policy.rules) == 1


def test_brackets_a_hundred_thousand_deep_are_said_and_not_followed() -> None:
    """A tree that no parser should hand over still ends in a diagnostic."""
    [rule] = lowered("forbid x: local")
    assert isinstance(rule, tree.Guard)
    deep: tree.Expression = rule.selector
    for _ in range(100_000):
        deep = tree.Group(deep, rule.span)
    problems = Problems()
    check(
        [
            tree.File(
                rule.span.source, (tree.Guard("forbid", rule.name, False, deep, rule.clauses, rule.span),)
            )
        ],
        [],
        [],
        GUIDE,
        problems,
    )

    assert [problem.slug for problem in problems] == ["nesting-too-deep"]


def test_warnings_leave_a_policy_whole() -> None:
    """A rule with a warning still decides."""
    policy, [problem] = checked("require r: model.capabilities has singing")

    assert problem.level is Level.WARNING
    assert policy.rules[0].effect == Require(has("model.capabilities", "singing"))


def test_so_many_unknown_names_do_not_cost_a_search_each() -> None:
    """Each is reported; a similar name is looked for only as often as anyone would read it."""
    labels = tuple(f"label-{number}" for number in range(5_000))
    names = Names(HOSPITAL.modes, "balanced", ("ollama",), (), labels=labels)
    unknown = ", ".join(f"lable-{number}" for number in range(3_000))
    _, problems = checked(f"forbid x: any when task.labels has any [{unknown}]", names)

    assert len(problems) == 3_000
    assert sum("similar" in (problem.help or "") for problem in problems) == 10

"""Settings -> rules, and the names the files make known."""

import pytest

from engine.config.lowering import kebab, lower, names_of
from engine.language.diagnostics import Problems
from engine.language.formatter import print_statement
from engine.language.parser import parse
from engine.language.source import Source
from engine.language.syntax_tree import Identifier, Preference, Rule

from .loading import load, load_guide


def rules(policies: str | None) -> dict[str, Rule]:
    return {rule.name.text: rule for rule in load(policies=policies).rules}


def printed(rule: Rule) -> str:
    return print_statement(rule)


def test_the_guide_lowers_to_these_rules() -> None:
    """Strategies, weights and overrides, with their names, in the order of the file."""
    assert [rule.name.text for rule in load_guide().rules] == [
        "mode-local-preferred",
        "mode-performance",
        "weights-local-only",
        "weights-local-preferred",
        "weights-balanced",
        "weights-performance",
        "override-planning-capability-1",
        "override-planning-capability-2",
        "override-qa-capability-1",
        "override-qa-capability-2",
        "override-routing-capability-1",
        "override-routing-capability-2",
        "override-routing-providers",
    ]


def test_fallback_critical_only_is_a_route() -> None:
    """Local, then cloud, unless much is at stake and budget sensitivity is low."""
    route = printed(rules(None)["mode-local-preferred"])
    assert route.splitlines()[:3] == [
        "route mode-local-preferred: use local, then cloud",
        "    when mode is local-preferred",
        "    unless task.criticality >= high and task.budget_sensitivity is low",
    ]


def test_aggressive_is_twenty_points_for_cloud() -> None:
    """A preference, so that guards still hold."""
    assert printed(rules(None)["mode-performance"]).startswith("prefer mode-performance: cloud by 20\n")


def test_weights_are_a_weigh_for_each_mode() -> None:
    """Also for a mode that has none of its own."""
    assert printed(rules(None)["weights-local-only"]).startswith(
        "weigh weights-local-only: cost 0.6, quality 0.25, latency 0.15\n    when mode is local-only\n"
    )


@pytest.mark.parametrize(
    ("count", "points"), [(1, "20"), (2, "10"), (3, "6.67"), (6, "3.33"), (7, "2.86"), (8, "2.5")]
)
def test_twenty_points_are_shared_among_the_capabilities_listed(count: int, points: str) -> None:
    """Each its own rule, half up to two decimals."""
    names = ", ".join(f"c{number}" for number in range(count))
    lowered = rules(f"task_overrides: {{qa: {{preferred_capabilities: [{names}]}}}}\n")
    overrides = [rule for name, rule in lowered.items() if name.startswith("override-qa-capability-")]
    assert [rule.points.text for rule in overrides if isinstance(rule, Preference)] == [points] * count


def test_preferred_providers_are_one_rule_of_twenty_points() -> None:
    """One provider or several."""
    lowered = rules("task_overrides: {qa: {preferred_providers: [ollama]}}\n")
    assert printed(lowered["override-qa-providers"]).startswith(
        "prefer override-qa-providers: model.provider is ollama by 20\n    when task.type is qa\n"
    )


def test_every_rule_stands_at_its_place_in_the_yaml() -> None:
    """The strategy's line, the mode's weights, the capability, the providers."""
    places = {rule.name.text: str(rule.span) for rule in load_guide().rules}
    assert places["mode-local-preferred"] == "policies.yaml:8:29"
    assert places["weights-balanced"] == "policies.yaml:21:5"
    assert places["override-planning-capability-2"] == "policies.yaml:32:40"
    assert places["override-routing-providers"] == "policies.yaml:36:27"


def test_built_in_modes_stand_in_a_text_of_their_own() -> None:
    """So that an explanation can show a line for them too."""
    span = load().rules[0].span
    assert span.source.name == "built-in"
    assert span.text == "fallback_critical_only"


ODD = """\
routing:
  default_mode: "not"
  modes:
    "not": {allow_cloud: true, cloud_usage_strategy: aggressive}
    any: {allow_cloud: true, cloud_usage_strategy: fallback_critical_only}
    'über "uns"': {allow_cloud: true, cloud_usage_strategy: aggressive}
    "back\\\\slash # no comment": {allow_cloud: true, cloud_usage_strategy: aggressive}
    task.type: {allow_cloud: true}
    2fa: {allow_cloud: true, cloud_usage_strategy: aggressive}
task_overrides:
  multi_agent/x: {preferred_capabilities: [empty, "a,b", "model.id", 日本], preferred_providers: [ollama]}
  日本: {preferred_capabilities: [all]}
"""


@pytest.mark.parametrize("policies", [None, ODD])
def test_every_rule_prints_and_parses_to_the_same_rule(policies: str | None) -> None:
    """Names that are no bare names, or words of the language, are quoted."""
    lowered = load(policies=policies).rules
    problems = Problems()
    again = parse(Source("x.route", "\n\n".join(map(print_statement, lowered))), problems)
    assert list(problems) == []
    assert again.statements == lowered


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("local-only", "local-only"),
        ("multi_agent_orchestration", "multi-agent-orchestration"),
        ("Über uns!", "ber-uns"),
        ("a__b--c", "a-b-c"),
        ("QA", "qa"),
        ("日本", "u65e5-u672c"),
        ("_", "u5f"),
    ],
)
def test_a_name_becomes_part_of_a_rules_name(name: str, part: str) -> None:
    """Lower case, everything but letters and digits a hyphen, never two and never none."""
    assert kebab(name) == part
    assert parse(Source("x", f"prefer mode-{part}: cloud by 20"), Problems()).statements[
        0
    ].name == Identifier(  # type: ignore[union-attr]
        f"mode-{part}", Source("x", "").span(0, 0)
    )


def test_names_are_those_of_the_two_files() -> None:
    """With the places where they are declared."""
    loaded = load_guide()
    assert loaded.catalogue is not None
    assert loaded.settings is not None
    names = names_of(loaded.catalogue, loaded.settings)
    assert names.providers == ("ollama", "anthropic")
    assert [model.key for model in names.models] == ["llama3-8b-instruct", "claude-3-5-sonnet"]
    assert list(names.modes) == ["local-only", "local-preferred", "balanced", "performance"]
    assert names.limited_providers == ("anthropic",)
    assert (names.task_types, names.labels) == (None, None)
    assert names.capabilities[:2] == ("general_qa", "planning")
    assert str(names.places["models", "claude-3-5-sonnet"]) == "models.yaml:21:13"
    assert str(names.places["modes", "balanced"]) == "policies.yaml:9:5"


def test_lowering_is_a_function_of_the_settings() -> None:
    """Twice the same."""
    loaded = load_guide()
    assert loaded.settings is not None
    assert lower(loaded.settings) == loaded.rules

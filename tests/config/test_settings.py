"""policies.yaml -> the settings."""

from decimal import Decimal

import pytest

from engine.config.clocks import Clocks
from engine.config.settings import Settings, Weights

from .loading import load, load_guide


def settings(policies: str | None = None) -> Settings:
    loaded = load(policies=policies)
    assert loaded.settings is not None
    return loaded.settings


def shares(weights: Weights) -> tuple[str, str, str]:
    return str(weights.cost), str(weights.quality), str(weights.latency)


def test_the_guides_settings_are_read_as_written() -> None:
    """The migration guide's policies.yaml, literally."""
    read = load_guide().settings
    assert read is not None
    assert read.default_mode == "local-preferred"
    assert {name: (mode.allow_cloud, mode.cloud_usage) for name, mode in read.modes.items()} == {
        "local-only": (False, "none"),
        "local-preferred": (True, "fallback_critical_only"),
        "balanced": (True, "balanced"),
        "performance": (True, "aggressive"),
    }
    assert shares(read.modes["performance"].weights) == ("0.2", "0.6", "0.2")
    assert [override.task_type for override in read.overrides] == ["planning", "qa", "routing"]
    assert read.budgets.daily.total_usd == Decimal("10.0")
    assert read.budgets.daily.per_provider == {"anthropic": Decimal("5.0")}
    assert read.budgets.monthly.total_usd == Decimal("150.0")
    assert (read.task_types, read.labels, read.budgets.time_zone) == (None, None, "UTC")


@pytest.mark.parametrize(
    "policies", [None, "", "# nothing\n", "routing:\n", "{}\n", "routing: {weights: }\n"]
)
def test_the_guides_modes_weights_and_default_hold_without_the_file(policies: str | None) -> None:
    """Also when the file says nothing of them."""
    guide = load_guide().settings
    assert guide is not None
    read = settings(policies)
    assert (read.modes, read.default_mode) == (guide.modes, guide.default_mode)


def test_a_mode_without_weights_uses_those_of_local_preferred() -> None:
    """The guide's `local-only`."""
    read = settings("routing: {weights: {local-preferred: {cost: 0.1, quality: 0.2, latency: 0.7}}}\n")
    assert {shares(mode.weights) for mode in read.modes.values()} == {("0.1", "0.2", "0.7")}


def test_without_weights_for_local_preferred_the_guides_hold() -> None:
    """Else cost 0.6, quality 0.25, latency 0.15, also for modes of the author's own."""
    own = "routing: {default_mode: a, modes: {a: {allow_cloud: true}, balanced: {allow_cloud: true}}}\n"
    assert {shares(mode.weights) for mode in settings(own).modes.values()} == {("0.6", "0.25", "0.15")}


def test_a_mode_without_a_strategy_is_balanced_or_none() -> None:
    """As cloud is allowed or not; yes and no are understood."""
    read = settings("routing: {default_mode: a, modes: {a: {allow_cloud: yes}, b: {allow_cloud: no}}}\n")
    assert [(mode.allow_cloud, mode.cloud_usage) for mode in read.modes.values()] == [
        (True, "balanced"),
        (False, "none"),
    ]


def test_weights_are_summed_exactly() -> None:
    """0.1 + 0.2 + 0.7 is 1, and three thirds cut short are not."""
    assert (
        load(policies="routing: {weights: {balanced: {cost: 0.1, quality: 0.2, latency: 0.7}}}\n").found == []
    )
    found = load(
        policies="routing: {weights: {balanced: {cost: 0.33, quality: 0.33, latency: 0.33}}}\n"
    ).found
    assert "0.99" in found[0].message


def test_the_default_mode_knows_its_place() -> None:
    """The value in policies.yaml; None when it is the built-in one."""
    assert str(settings("routing:\n  default_mode: balanced\n").default_mode_span) == "policies.yaml:2:17"
    assert settings().default_mode_span is None


def test_a_wrong_default_mode_leaves_one_that_exists() -> None:
    """So that no later phase has to know."""
    read = settings("routing: {default_mode: x, modes: {a: {allow_cloud: true}}}\n")
    assert read.default_mode == "a"


def test_lists_are_closed_when_written() -> None:
    """Each name once and with its place; an empty list of labels allows none."""
    read = settings("task_types: [qa, planning]\nlabels: []\n")
    assert read.task_types is not None
    assert [(placed.name, str(placed.span)) for placed in read.task_types] == [
        ("qa", "policies.yaml:1:14"),
        ("planning", "policies.yaml:1:18"),
    ]
    assert read.labels == ()


def test_a_zero_limit_is_zero_and_none_is_no_limit() -> None:
    """`0` is not `no limit`: a zero budget means zero."""
    budgets = settings("budgets: {daily: {total_usd: 0, per_provider: {ollama: 0.00}}}\n").budgets
    assert (budgets.daily.total_usd, budgets.monthly.total_usd) == (Decimal(0), None)
    assert budgets.daily.per_provider == {"ollama": Decimal("0.00")}


def test_sessions_agents_and_groups_have_limits_of_their_own() -> None:
    """What is not written is no limit; `labels_stay` is empty, a list or all."""
    read = settings(
        "groups: [red, blue]\nsessions: {labels_stay: all, forget_after_days: 7}\n"
        "budgets: {session: {total_usd: 2}, groups: {red: {daily_usd: 0.5}}}\n"
    )
    budgets = read.budgets
    assert (budgets.session and budgets.session.total_usd, budgets.agent) == (Decimal(2), None)
    assert [(name, one.daily_usd, one.monthly_usd) for name, one in budgets.groups.items()] == [
        ("red", Decimal("0.5"), None)
    ]
    assert (read.sessions.labels_stay, read.sessions.forget_after_days) == (None, 7)
    assert settings("").sessions.labels_stay == ()


def test_names_that_models_yaml_lacks_are_dropped() -> None:
    """An unknown provider limits nothing and is preferred by nothing; an unknown capability still counts as
    one of n."""
    read = settings(
        "budgets: {daily: {per_provider: {x: 5, ollama: 1}}}\n"
        "task_overrides: {qa: {preferred_providers: [x, ollama], preferred_capabilities: [y, qa]}}\n"
    )
    assert list(read.budgets.daily.per_provider) == ["ollama"]
    assert [placed.name for placed in read.overrides[0].providers] == ["ollama"]
    assert [placed.name for placed in read.overrides[0].capabilities] == ["y", "qa"]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_a_time_zone_is_an_iana_name(zone: str) -> None:
    """The zone of budget days and of the clock."""
    assert settings(f"budgets: {{time_zone: {zone}}}\n").budgets.time_zone == zone


def test_timeouts_are_seconds() -> None:
    """What is not written is the router's own."""
    timeouts = settings("timeouts: {default: 30, low_latency_required: 2.5}\n").timeouts
    assert (timeouts.default_s, timeouts.high_latency_ok_s, timeouts.low_latency_required_s) == (
        Decimal(30),
        None,
        Decimal("2.5"),
    )


def test_the_nearest_clock_holds() -> None:
    """A model's clock wins over its provider's, that one over the general one; what nobody says is None. A
    time limit is no secret, whatever its name ends with."""
    timeouts = settings(
        "timeouts:\n"
        "  idle: 30\n"
        "  first_token: 40\n"
        "  load: 90\n"
        "  providers: {ollama: {first_token: 50, whole: 200}}\n"
        "  models: {small: {first_token: 2.5}}\n"
    ).timeouts
    assert timeouts.of("ollama", "small") == Clocks(
        None, Decimal("2.5"), Decimal(30), Decimal(200), Decimal(90)
    )
    assert timeouts.of("ollama", "other").first_token_s == Decimal(50)
    assert timeouts.of("other", "other") == Clocks(None, Decimal(40), Decimal(30), None, Decimal(90))

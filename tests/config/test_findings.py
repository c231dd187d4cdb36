"""What is said about models.yaml and policies.yaml that are wrong: slug, place, words and help."""

from collections.abc import Iterable

import pytest

from engine.config.messages import settings as messages
from engine.config.yaml_source import MOST_FINDINGS
from engine.language.diagnostics import Level
from engine.language.rendering import render

from .loading import ONE_MODEL, load, one_model

CLOUD = "type: cloud\n    base_url: https://api.example.org/v1\n    api: openai"
PAID = "cost_profile: {input_per_1m: 1, output_per_1m: 2}"

# claim, models.yaml, slug, the text the finding stands under, a part of the message, a part of the help
CATALOGUE = [
    (
        "an unknown key",
        "providers: {}\nmodles: 1\n",
        "unknown-key",
        "modles",
        "`modles` is not known",
        "known here",
    ),
    (
        "a misspelt key",
        one_model("", "ollama", "type: local\n    base_ulr: http://x"),
        "unknown-key",
        "base_ulr",
        "`base_ulr` is not known in `ollama`",
        "write `base_url`",
    ),
    ("a missing key", "{}\n", "missing-key", "{}", "this file has no `providers`", "add `providers:`"),
    (
        "a model without a window",
        "providers: {ollama: {type: local, models: [{id: m, quality_tier: low, latency_tier: low}]}}\n",
        "missing-key",
        "{id: m, quality_tier: low, latency_tier: low}",
        "the 1st of `models` has no `max_context`",
        "add `max_context: 8192`",
    ),
    (
        "a key without a value",
        one_model("", "ollama", "type: local\n    zone:"),
        "no-value",
        "zone",
        "`zone` has no value",
        "write one",
    ),
    (
        "a list for a mapping",
        "providers: [a]\n",
        "wrong-type",
        "[a]",
        "must be a set of `key: value` lines",
        None,
    ),
    (
        "a word for a list",
        one_model("tags: gdpr"),
        "wrong-type",
        "gdpr",
        "`tags` must be a list",
        "write `[gdpr]`",
    ),
    ("a number for a name", one_model("zone: 7"), "wrong-type", "7", "not the number 7", 'write `"7"`'),
    ("a yes for a name", one_model("tags: [true]"), "wrong-type", "true", "not `true`", 'write `"true"`'),
    (
        "a unit in a number",
        ONE_MODEL.replace("8192", "32k"),
        "wrong-type",
        "32k",
        "`max_context` must be a whole number, not `32k`",
        "write `32000`",
    ),
    (
        "a fraction of a token",
        ONE_MODEL.replace("8192", "0.5"),
        "wrong-type",
        "0.5",
        "`max_context` must be a whole number",
        None,
    ),
    (
        "a negative window",
        ONE_MODEL.replace("8192", "-5"),
        "out-of-bounds",
        "-5",
        "`max_context` is -5",
        "at least 1",
    ),
    (
        "an absurd window",
        ONE_MODEL.replace("8192", "8192000000000"),
        "out-of-bounds",
        "8192000000000",
        "`max_context` is 8192000000000",
        "at most 1,000,000,000",
    ),
    (
        "a misspelt tier",
        ONE_MODEL.replace("quality_tier: low", "quality_tier: hgih"),
        "not-one-of",
        "hgih",
        "`quality_tier` cannot be `hgih`",
        "write `high`; one of: low, medium, high, very_high",
    ),
    (
        "a third answer",
        one_model("tools: sometimes"),
        "not-one-of",
        "sometimes",
        "`tools` cannot be",
        "one of: yes, no",
    ),
    (
        "on for true",
        one_model("", "ollama", "type: local\n    discover: on"),
        "not-one-of",
        "on",
        "`discover` cannot be `on`",
        "one of: true, false",
    ),
    (
        "euros",
        one_model("cost_profile: {currency: EUR, input_per_1m: 1, output_per_1m: 2}", "x", CLOUD),
        "other-currency",
        "EUR",
        "not in EUR",
        "USD",
    ),
    (
        "two units",
        one_model("cost_profile: {input_per_1k: 1, output_per_1k: 2, output_per_1m: 3}", "x", CLOUD),
        "both-price-units",
        "output_per_1m",
        "per 1k and per 1m",
        "keep one pair",
    ),
    (
        "a negative price",
        one_model("cost_profile: {input_per_1m: -1, output_per_1m: 2}", "x", CLOUD),
        "out-of-bounds",
        "-1",
        "`input_per_1m` is -1",
        "at least 0",
    ),
    (
        "an address without a scheme",
        one_model("", "ollama", "type: local\n    base_url: localhost:11434"),
        "bad-address",
        "localhost:11434",
        "`base_url` is no address",
        "http://",
    ),
    (
        "an unknown server",
        one_model(PAID, "groq", "type: cloud\n    base_url: https://x.example"),
        "missing-key",
        "groq",
        "the name `groq` does not say",
        "add `api: openai`",
    ),
    (
        "a server without an address",
        one_model(PAID, "groq", "type: cloud\n    api: openai"),
        "missing-key",
        "groq",
        "requests would go to openai's own",
        "add `base_url:",
    ),
    (
        "a local server without an address",
        one_model("", "openai", "type: local\n    api: openai"),
        "missing-key",
        "openai",
        "requests would go to openai's own",
        "add `base_url:",
    ),
    (
        "a provider called cloud",
        one_model(PAID, "cloud", CLOUD),
        "reserved-name",
        "cloud",
        "a provider cannot be called `cloud`",
        "cloud-1",
    ),
    (
        "a model called any",
        ONE_MODEL.replace("id: small", "id: any"),
        "reserved-name",
        "any",
        "a model cannot be called `any`",
        "any-1",
    ),
    (
        "a model that Ollama hands on to its cloud",
        ONE_MODEL.replace("id: small", 'id: "gpt-oss:120b-cloud"'),
        "local-is-elsewhere",
        '"gpt-oss:120b-cloud"',
        "runs in the vendor's cloud",
        "type: cloud",
    ),
    (
        "a model that Ollama hands on to its cloud, in capitals",
        ONE_MODEL.replace("id: small", 'id: "gpt-oss:120b-CLOUD"'),
        "local-is-elsewhere",
        '"gpt-oss:120b-CLOUD"',
        "runs in the vendor's cloud",
        "type: cloud",
    ),
    (
        "no model at all",
        "providers: {ollama: {type: local, discover: true}}\n",
        "no-models",
        "providers",
        "no provider lists a model",
        "models that are only discovered are not eligible",
    ),
    ("no provider", "providers: {}\n", "empty-section", "{}", "`providers` is empty", "at least one"),
    ("no content", "", "empty-section", "", "this file is empty", "providers:"),
    (
        "a nameless provider",
        '"": {}\nproviders: {"": {type: local}}\n',
        "bad-name",
        '""',
        "from 1 to 200",
        None,
    ),
]


@pytest.mark.parametrize(
    ("models", "slug", "under", "message", "help"),
    [case[1:] for case in CATALOGUE],
    ids=[c[0] for c in CATALOGUE],
)
def test_what_is_wrong_in_models_yaml_is_said_in_its_place(
    models: str, slug: str, under: str, message: str, help: str | None
) -> None:
    """One cause, one finding of level error, under the smallest text."""
    found = [each for each in load(models).found if each.slug == slug and each.span.text == under]
    assert [each.level for each in found] == [Level.ERROR]
    assert message in found[0].message
    assert (help or "") in (found[0].help or "")


@pytest.mark.parametrize("case", CATALOGUE[1:-3], ids=[c[0] for c in CATALOGUE[1:-3]])
def test_one_mistake_in_models_yaml_is_one_error(case: tuple[str, ...]) -> None:
    """Nothing follows from a mistake that has been said."""
    found = load(case[1]).found
    assert len([each for each in found if each.level is Level.ERROR]) == 1


MODES = "routing:\n  modes:\n    a: {allow_cloud: true}\n    b: {allow_cloud: false}\n"

SETTINGS = [
    (
        "a limit of a provider that models.yaml lacks",
        "budgets: {daily: {per_provider: {olama: 5}}}\n",
        "unknown-provider",
        "olama",
        "no provider `olama`, so this limit limits nothing",
        "write `ollama`",
    ),
    (
        "an unknown section",
        "budget: {}\n",
        "unknown-key",
        "budget",
        "`budget` is not known",
        "write `budgets`",
    ),
    (
        "a default mode that is none",
        MODES + "  default_mode: balancd\n",
        "unknown-mode",
        "balancd",
        "there is no such mode",
        "the modes are: a, b",
    ),
    (
        "a default mode that is not said",
        MODES,
        "missing-key",
        "modes",
        "`local-preferred`, which would be it, is not among the modes",
        "one of: a, b",
    ),
    (
        "a mode that does not say",
        "routing: {modes: {local-preferred: {}}}\n",
        "missing-key",
        "local-preferred",
        "`local-preferred` has no `allow_cloud`",
        "add `allow_cloud: false`",
    ),
    (
        "an unknown strategy",
        "routing: {modes: {local-preferred: {allow_cloud: true, cloud_usage_strategy: agressive}}}\n",
        "not-one-of",
        "agressive",
        "`cloud_usage_strategy` cannot be",
        "write `aggressive`",
    ),
    (
        "a strategy for no cloud",
        "routing: {modes: {local-preferred: {allow_cloud: no, cloud_usage_strategy: balanced}}}\n",
        "strategy-without-cloud",
        "balanced",
        "does not allow cloud",
        "delete this line",
    ),
    (
        "cloud for no strategy",
        "routing: {modes: {local-preferred: {allow_cloud: true, cloud_usage_strategy: none}}}\n",
        "strategy-without-cloud",
        "none",
        "allows cloud, and its strategy says none",
        "allow_cloud: false",
    ),
    (
        "weights that make more than 1",
        "routing: {weights: {balanced: {cost: 0.5, quality: 0.4, latency: 0.2}}}\n",
        "weights-sum",
        "balanced",
        "sum to 1.1, not to 1",
        "make 1",
    ),
    (
        "a negative weight",
        "routing: {weights: {balanced: {cost: -0.5, quality: 1, latency: 0.5}}}\n",
        "out-of-bounds",
        "-0.5",
        "`cost` is -0.5",
        "at least 0",
    ),
    (
        "two weights of three",
        "routing: {weights: {balanced: {cost: 0.5, quality: 0.5}}}\n",
        "missing-key",
        "balanced",
        "`balanced` has no `latency`",
        "add `latency:`",
    ),
    (
        "weights of an unknown mode",
        "routing: {weights: {balancd: {cost: 0.5, quality: 0.3, latency: 0.2}}}\n",
        "unknown-mode",
        "balancd",
        "no mode `balancd` to weigh",
        "`balanced` is a similar name",
    ),
    (
        "an override of a type that is not listed",
        "task_types: [qa, planning]\ntask_overrides: {planing: {preferred_capabilities: [qa]}}\n",
        "unknown-task-type",
        "planing",
        "`planing` is not among `task_types`",
        "`planning` is a similar name",
    ),
    ("no types at all", "task_types: []\n", "empty-section", "[]", "`task_types` is empty", "at least one"),
    ("labels as a word", "labels: pii\n", "wrong-type", "pii", "`labels` must be a list", "write `[pii]`"),
    (
        "a group with the name of no group",
        "groups: [red, none]\n",
        "group-called-none",
        "none",
        "no group can be called `none`",
        "another name",
    ),
    (
        "a limit of an unknown group",
        "groups: [research]\nbudgets: {groups: {reserch: {daily_usd: 1}}}\n",
        "unknown-group",
        "reserch",
        "`reserch`, which is not among `groups`",
        "write `research`",
    ),
    (
        "a label that stays and is not listed",
        "labels: [secret]\nsessions: {labels_stay: [secrt]}\n",
        "unknown-label",
        "secrt",
        "`secrt` stays, and is not among `labels`",
        "write `secret`",
    ),
    (
        "a word where a list stays",
        "sessions: {labels_stay: pii}\n",
        "labels-stay",
        "pii",
        "a list of labels or `all`, not `pii`",
        "write `labels_stay: [pii]`",
    ),
    (
        "a limit of nothing",
        "budgets: {daily: {}}\n",
        "no-limit",
        "daily",
        "names no maximum",
        "add `total_usd:`",
    ),
    (
        "a limit without a number",
        "budgets: {daily: {total_usd: }}\n",
        "no-value",
        "total_usd",
        "`total_usd` has no value",
        "write one",
    ),
    (
        "a negative limit",
        "budgets: {daily: {total_usd: -1}}\n",
        "out-of-bounds",
        "-1",
        "`total_usd` is -1",
        "at least 0",
    ),
    (
        "dollars with their sign",
        'budgets: {daily: {total_usd: "$5"}}\n',
        "wrong-type",
        '"$5"',
        "must be a number",
        "write `5`",
    ),
    (
        "a zone that is none",
        "budgets: {time_zone: Europe/Berln}\n",
        "unknown-time-zone",
        "Europe/Berln",
        "no time zone",
        "write `Europe/Berlin`",
    ),
    (
        "a zone that leads out of the folder of zones",
        "budgets: {time_zone: ../../etc/passwd}\n",
        "unknown-time-zone",
        "../../etc/passwd",
        "no time zone",
        "IANA",
    ),
    (
        "a folder of zones",
        "budgets: {time_zone: Europe}\n",
        "unknown-time-zone",
        "Europe",
        "no time zone",
        "",
    ),
    ("no time at all", "timeouts: {default: 0}\n", "out-of-bounds", "0", "`default` is 0", "more than 0"),
]


@pytest.mark.parametrize(
    ("policies", "slug", "under", "message", "help"),
    [case[1:] for case in SETTINGS],
    ids=[c[0] for c in SETTINGS],
)
def test_what_is_wrong_in_policies_yaml_is_said_in_its_place(
    policies: str, slug: str, under: str, message: str, help: str
) -> None:
    """One cause, one finding of level error, under the smallest text."""
    (found,) = load(policies=policies).found
    assert (found.slug, found.level, found.span.text) == (slug, Level.ERROR, under)
    assert found.span.source.name == "policies.yaml"
    assert message in found.message
    assert help in (found.help or "")


WARNINGS = [
    (
        "a preferred provider that models.yaml lacks",
        "task_overrides: {qa: {preferred_providers: [openai]}}\n",
        "unknown-provider",
        "openai",
        "add the provider",
    ),
    (
        "a time limit of a provider that models.yaml lacks",
        "timeouts: {providers: {olama: {idle: 5}}}\n",
        "unknown-provider",
        "olama",
        "write `ollama`",
    ),
    (
        "a time limit of a model that models.yaml lacks",
        "timeouts: {models: {nobody: {first_token: 5}}}\n",
        "unknown-model",
        "nobody",
        "add the model",
    ),
    (
        "a capability that no model has",
        "task_overrides: {qa: {preferred_capabilities: [qaa]}}\n",
        "unknown-capability",
        "qaa",
        "write `qa`",
    ),
    ("a label twice", "labels: [pii, pii]\n", "listed-twice", "pii", "delete one"),
    ("two labels that differ in case", "labels: [pii, PII]\n", "case-only", "PII", "such as `pii`"),
]


@pytest.mark.parametrize(
    ("policies", "slug", "under", "help"), [case[1:] for case in WARNINGS], ids=[case[0] for case in WARNINGS]
)
def test_where_one_file_may_be_ahead_of_the_other_it_is_a_warning(
    policies: str, slug: str, under: str, help: str
) -> None:
    """Names the other file lacks, and lists with doubtful members, do not stop a policy."""
    (found,) = load(policies=policies).found
    assert (found.slug, found.level, found.span.text) == (slug, Level.WARNING, under)
    assert help in (found.help or "")


def test_all_independent_problems_are_told_in_one_run() -> None:
    """In both files, in file and line order."""
    loaded = load(
        ONE_MODEL.replace("8192", "1k").replace("id: small", "id: small, x: 1"),
        "labels: pii\nbudgets: {daily: {total: 5}, time_zone: Nowhere}\n",
    )
    assert loaded.slugs == [
        "unknown-key",
        "wrong-type",
        "wrong-type",
        "unknown-key",
        "unknown-time-zone",
    ]


def test_a_file_full_of_mistakes_is_cut_short() -> None:
    """A hundred findings of the schema, and a word that there are more."""
    lines = "".join(f"  x{number}: 1\n" for number in range(5000))
    found = load("providers:\n" + lines).found
    assert len(found) < 120
    assert "too-many-findings" in [each.slug for each in found]


def test_of_thousands_of_unknown_names_a_hundred_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A similar name is looked for a hundred times among 500, not for every pair of names."""
    among: list[int] = []

    def misspelt(name: str, known: Iterable[str]) -> tuple[str, ...]:
        among.append(len(list(known)))
        return ()

    monkeypatch.setattr(messages, "misspelt", misspelt)
    types = ", ".join(f"type-{number}" for number in range(2000))
    overrides = "".join(f"  tpye-{number}: {{}}\n" for number in range(2000))
    found = load(policies=f"task_types: [{types}]\ntask_overrides:\n{overrides}").found
    assert len(found) == 2000
    assert sum(among) == MOST_FINDINGS * 500


def test_every_finding_can_be_shown() -> None:
    """The renderer finds the line of each of them."""
    for case in CATALOGUE:
        assert all(f"{each.level.word}[{each.slug}]" in render(each) for each in load(case[1]).found)
    for case in SETTINGS:
        assert all(f"{each.level.word}[{each.slug}]" in render(each) for each in load(policies=case[1]).found)

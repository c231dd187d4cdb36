"""models.yaml -> the catalogue."""

from decimal import Decimal
from fractions import Fraction

import pytest

from engine.config.catalogue import Model, Provider

from .loading import load, load_guide, one_model

CLOUD = "type: cloud\n    base_url: https://api.example.org/v1\n    api: openai"


def model(lines: str, provider: str = "ollama", provider_lines: str = "type: local") -> Model:
    return load(one_model(lines, provider, provider_lines)).model


def provider(name: str, lines: str) -> Provider:
    loaded = load(one_model("cost_profile: {input_per_1m: 1, output_per_1m: 1}", name, lines))
    assert loaded.catalogue is not None
    return loaded.catalogue.providers[0]


def test_the_guides_catalogue_is_read_as_written() -> None:
    """The migration guide's models.yaml, literally."""
    catalogue = load_guide().catalogue
    assert catalogue is not None
    small, large = catalogue.models
    assert (small.key, small.provider, small.locality) == ("llama3-8b-instruct", "ollama", "local")
    assert (small.max_context, small.quality, small.latency) == (8192, "medium", "medium")
    assert small.capabilities == ("general_qa", "planning", "summarization")
    assert (large.display_name, large.price) == ("Claude 3.5 Sonnet", Fraction(6000))
    assert [each.api for each in catalogue.providers] == ["ollama", "anthropic"]
    assert catalogue.providers[0].discover


def test_the_guides_two_files_have_no_error_and_three_warnings() -> None:
    """Two capabilities that no model has, and a limit for a provider that is not there."""
    assert load_guide().slugs == ["unknown-capability", "unknown-capability", "unknown-provider"]


@pytest.mark.parametrize(
    ("lines", "tools"),
    [
        ("tools: yes", "yes"),
        ("tools: true", "yes"),
        ("tools: no", "no"),
        ("tools: false, capabilities: [tool_use]", "no"),
        ("capabilities: [tool_use]", "yes"),
        ("capabilities: [qa, tool_use_parallel]", "yes"),
        ("capabilities: [qa]", "unknown"),
        ("", "unknown"),
    ],
)
def test_tools_are_what_is_written_else_what_a_capability_says_else_unknown(lines: str, tools: str) -> None:
    """`tools` (yes|no; else inferred: a capability `tool_use*`, discovery, else unknown)."""
    assert model(lines).tools == tools


@pytest.mark.parametrize(
    ("profile", "price"),
    [
        ("{input_per_1m: 3, output_per_1m: 15}", Fraction(6)),
        ("{input_per_1k: 3.0, output_per_1k: 15.0}", Fraction(6000)),
        ("{input_per_1k: 0.003, output_per_1k: 0.015, currency: USD, type: paid}", Fraction(6)),
        ("{input_per_1m: 0, output_per_1m: 0}", Fraction(0)),
        ("{input_per_1m: 0.1, output_per_1m: 0.1}", Fraction(1, 10)),
        ("{input_per_1m: 3}", None),
        ("{output_per_1k: 3}", None),
        ("{relative_cost: 5}", None),
        ("{}", None),
    ],
)
def test_a_cloud_price_is_one_pair_in_one_unit_or_unknown(profile: str, price: Fraction | None) -> None:
    """A missing price is unknown, never zero; a written 0 is a price."""
    assert model(f"cost_profile: {profile}", "x", CLOUD).price == price


@pytest.mark.parametrize(
    ("profile", "slug"),
    [
        ("{input_per_1m: 3}", "half-a-price"),
        ("{relative_cost: 5}", "no-price"),
        ("{type: local_cpu}", "no-price"),
    ],
)
def test_an_unpriced_cloud_model_is_a_warning(profile: str, slug: str) -> None:
    """It loads, and it is never chosen until it has a price."""
    assert slug in load(one_model(f"cost_profile: {profile}", "x", CLOUD)).slugs


def test_a_local_model_costs_no_dollars() -> None:
    """`model.price` is 0 and `relative_cost` 1 where nothing is said."""
    assert model("").price == 0
    assert model("").relative_cost == Decimal(1)
    assert model("cost_profile: {type: local_cpu, relative_cost: 2.5}").relative_cost == Decimal("2.5")
    assert model("cost_profile: {relative_cost: 0}").relative_cost == Decimal(0)


def test_cache_prices_are_kept() -> None:
    """Per million tokens, beside either unit."""
    prices = model(
        "cost_profile: {input_per_1k: 1, output_per_1k: 2, cached_input_per_1m: 0.1, cache_write_per_1m: 3}",
        "x",
        CLOUD,
    ).prices
    assert prices is not None
    assert (prices.input, prices.cached_input, prices.cache_write) == (
        Decimal(1000),
        Decimal("0.1"),
        Decimal(3),
    )


def test_zone_and_tags_of_a_provider_hold_for_its_models() -> None:
    """A model's own zone replaces it, its own tags join them."""
    lines = "type: local\n    zone: eu\n    tags: [certified, fast]"
    assert model("", "ollama", lines).zone == "eu"
    assert model("zone: on-site", "ollama", lines).zone == "on-site"
    assert model("tags: [fast, own]", "ollama", lines).tags == ("certified", "fast", "own")
    assert model("").zone is None


@pytest.mark.parametrize(
    ("name", "lines", "api"),
    [
        ("ollama", "type: local", "ollama"),
        ("ollama-gpu", "type: local", "ollama"),
        ("Anthropic_EU", "type: cloud", "anthropic"),
        ("openai", "type: cloud", "openai"),
        ("groq", "type: cloud\n    api: openai\n    base_url: https://x.example", "openai"),
        ("vllm", "type: local\n    api: openai\n    base_url: http://127.0.0.1:8000", "openai"),
        ("anthropic", "type: local\n    api: anthropic\n    base_url: http://127.0.0.1:1", "anthropic"),
        ("box", "type: local\n    api: ollama", "ollama"),
    ],
)
def test_the_api_is_what_is_written_else_what_the_name_begins_with(name: str, lines: str, api: str) -> None:
    """Guessed from the name, needed for any other server."""
    assert provider(name, lines).api == api


@pytest.mark.parametrize(
    ("address", "networks", "warning"),
    [
        ("http://localhost:11434", "[]", ""),
        ("http+unix://%2Frun%2Fllm.sock", "[]", ""),
        ("http://127.0.0.1", "[]", ""),
        ("http://[::1]:8000/v1", "[]", ""),
        ("http://192.168.1.20:11434", "[]", "is another machine"),
        ("http://192.168.1.20:11434", "[192.168.1.0/24]", ""),
        ("http://192.168.1.20:11434", "[192.168.2.0/24]", "is another machine"),
        ("http://[fd00::1]:8000", '["fd00::/8"]', ""),
        ("http://gpu:11434", "[]", "is another machine"),
        ("http://render-node.lan:11434", "[]", "is another machine"),
        ("http://render-node.lan:11434", "[10.0.0.0/8]", ""),
        ("https://api.groq.com/openai", "[]", "neither this machine nor a private network"),
        ("http://8.8.8.8:11434", "[]", "neither this machine nor a private network"),
        ("http://[2606:4700::1111]:80", "[]", "neither this machine nor a private network"),
        ("http://127.0.0.1.example.org", "[]", "neither this machine nor a private network"),
        ("http://localhost.example.org", "[]", "neither this machine nor a private network"),
        ("http://1.2.3:80", "[]", "neither this machine nor a private network"),
    ],
)
def test_what_is_called_local_and_has_another_address_is_a_warning(
    address: str, networks: str, warning: str
) -> None:
    """`local` means declared local; the address can contradict it."""
    found = load(
        one_model("", "ollama", f"type: local\n    base_url: {address}\n    networks: {networks}")
    ).found
    assert [each.slug for each in found] == ["local-is-elsewhere"] * bool(warning)
    assert all(warning in each.message for each in found)


@pytest.mark.parametrize(
    ("lines", "on_abort"),
    [
        ("", "whole"),
        ("\n    billing: {}", "whole"),
        ("\n    billing: {on_abort: whole}", "whole"),
        ("\n    billing: {on_abort: as-shown}", "as-shown"),
    ],
)
def test_a_stream_that_is_left_is_billed_whole_unless_the_file_says_otherwise(
    lines: str, on_abort: str
) -> None:
    """Only a written `as-shown` relaxes it."""
    assert provider("acme", CLOUD + lines).on_abort == on_abort


def test_another_word_for_on_abort_is_an_error() -> None:
    """A misspelling relaxes nothing in silence."""
    price = "cost_profile: {input_per_1m: 1, output_per_1m: 1}"
    assert load(one_model(price, "acme", CLOUD + "\n    billing: {on_abort: shown}")).slugs


def test_networks_are_kept_as_they_are_meant() -> None:
    """An address with a prefix stands for its network."""
    assert provider("ollama", "type: local\n    networks: [192.168.1.7/24, 10.0.0.1]").networks == (
        "192.168.1.0/24",
        "10.0.0.1/32",
    )
    assert load(one_model("", "ollama", "type: local\n    networks: [home]")).slugs == ["no-network"]


TWO_PROVIDERS = """\
providers:
  openai:
    type: cloud
    models:
      - &
  azure:
    type: cloud
    api: openai
    base_url_env: AZURE_BASE_URL
    models:
      - &
      - {id: own, max_context: 1, quality_tier: low, latency_tier: low,
         cost_profile: {input_per_1m: 1, output_per_1m: 1}}
""".replace(
    "&",
    "{id: gpt-4o, max_context: 1, quality_tier: low, latency_tier: low, cost_profile: {input_per_1m: 1, "
    "output_per_1m: 1}}",
)


def test_an_id_that_two_providers_have_is_written_with_the_provider() -> None:
    """ "PROVIDER/ID" everywhere, and the plain id where it is the only one."""
    loaded = load(TWO_PROVIDERS)
    assert loaded.found == []
    assert loaded.catalogue is not None
    assert [model.key for model in loaded.catalogue.models] == ["openai/gpt-4o", "azure/gpt-4o", "own"]
    assert [model.id for model in loaded.catalogue.providers[1].models] == ["gpt-4o", "own"]
    assert [model.provider for model in loaded.catalogue.models] == ["openai", "azure", "azure"]


def test_a_model_twice_in_a_provider_is_an_error_that_shows_both() -> None:
    """The second is left out."""
    text = one_model("") + "      - {id: m, max_context: 1, quality_tier: low, latency_tier: low}\n"
    loaded = load(text)
    (found,) = loaded.found
    assert (found.slug, found.span.line, found.notes[0].span.line) == ("repeated-model", 6, 5)
    assert loaded.model.max_context == 8192


def test_two_models_that_would_be_written_alike_are_an_error() -> None:
    """An id that looks like PROVIDER/ID of another."""
    loaded = load(TWO_PROVIDERS.replace("id: own", "id: openai/gpt-4o"))
    assert loaded.slugs == ["ambiguous-model"]


def test_a_model_knows_its_place() -> None:
    """The id in models.yaml, for explanations and "declared here"."""
    span = load(one_model("")).model.span
    assert (str(span), span.text) == ("models.yaml:5:14", "m")


def test_the_catalogue_keeps_the_order_of_the_file() -> None:
    """It decides the last of ties."""
    catalogue = load(TWO_PROVIDERS).catalogue
    assert catalogue is not None
    assert [provider.name for provider in catalogue.providers] == ["openai", "azure"]
    assert [model.provider for model in catalogue.models] == ["openai", "azure", "azure"]

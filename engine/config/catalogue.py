"""models.yaml -> the catalogue: every provider and model a policy may choose, as typed values.

What is written is taken literally; a price that is missing stays unknown and is never zero. Nothing here
looks at the network or the environment.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, TypeAlias

from engine.config.messages import catalogue as messages
from engine.config.schema_check import check_schema
from engine.config.section import Section
from engine.config.yaml_source import Document
from engine.language.diagnostics import Problems
from engine.language.source import Span
from engine.language.syntax_tree import span_field
from engine.language.vocabulary import LOCALITIES, QUALITIES, THREE_LEVELS
from engine.provider_apis import APIS, api_named

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Locality: TypeAlias = Literal["local", "cloud"]
ToolSupport: TypeAlias = Literal["yes", "no", "unknown"]
OnAbort: TypeAlias = Literal["whole", "as-shown"]


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars per million tokens, as written (a `_per_1k` price times 1000)."""

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None

    @property
    def blended(self) -> Fraction:
        """Three parts input to one part output (`model.price` in docs/language.md)."""
        return (3 * Fraction(self.input) + Fraction(self.output)) / 4


@dataclass(frozen=True, slots=True)
class Model:
    """One model of one provider. `key` is how it is written everywhere: its id, or "PROVIDER/ID" when two
    providers have that id. `cache_ttl_s` is how long its provider keeps the beginning of a prompt, in
    seconds; None where it keeps none."""

    key: str
    id: str
    provider: str
    locality: Locality
    display_name: str
    capabilities: tuple[str, ...]
    max_context: int
    quality: str
    latency: str
    tools: ToolSupport
    zone: str | None
    tags: tuple[str, ...]
    relative_cost: Decimal
    prices: Prices | None
    cache_ttl_s: int | None
    span: Span = span_field()

    @property
    def offers(self) -> tuple[str, ...]:
        """`model.offers`: its capabilities, and `tools` unless it is known not to call them."""
        if self.tools == "no" or "tools" in self.capabilities:
            return self.capabilities
        return (*self.capabilities, "tools")

    @property
    def price(self) -> Fraction | None:
        """`model.price`: blended US dollars per million tokens, 0 for a local model, None when unknown."""
        if self.locality == "local":
            return Fraction(0)
        return self.prices.blended if self.prices else None

    @property
    def warm_price(self) -> Fraction | None:
        """The same with what its provider asks for input that its cache holds; None where that is not
        written."""
        return self._with_input(self.prices.cached_input if self.prices else None)

    @property
    def written_price(self) -> Fraction | None:
        """The same with what its provider asks for input that its cache is to hold from now on."""
        return self._with_input(self.prices.cache_write if self.prices else None)

    def _with_input(self, price: Decimal | None) -> Fraction | None:
        if price is None or self.prices is None or self.locality == "local":
            return None
        return (3 * Fraction(price) + Fraction(self.prices.output)) / 4


@dataclass(frozen=True, slots=True)
class Provider:
    """Where models are served. Keys and addresses are names of variables, or written out; never read here.

    `api` is the name of a row of `engine.provider_apis`; `networks` are the CIDRs that count as local beside
    loopback. `on_abort` is what it bills when a caller leaves a stream: the whole answer, or what was shown.
    """

    name: str
    locality: Locality
    api: str
    base_url: str | None
    base_url_env: str | None
    api_key_env: str | None
    discover: bool
    max_concurrent: int | None
    networks: tuple[str, ...]
    models: tuple[Model, ...]
    on_abort: OnAbort
    span: Span = span_field()

    @property
    def key_variable(self) -> str | None:
        """The variable that holds the key. A vendor's own variable is read for the vendor's own address
        only."""
        if self.api_key_env:
            return self.api_key_env
        at_vendor = self.locality == "cloud" and not self.base_url and not self.base_url_env
        return APIS[self.api].vendor_key_env if at_vendor else None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every provider and model, in the order of models.yaml; `is_open` when more of them may be written that
    could not be read."""

    providers: tuple[Provider, ...]
    models: tuple[Model, ...]
    is_open: bool = False


def load_catalogue(document: Document, problems: Problems) -> Catalogue:
    """The catalogue of a models.yaml, checked; where something is wrong, what can be read of it.

    With an error among the problems the catalogue decides nothing: it only keeps later phases from calling
    unknown what was merely written badly.
    """
    document, unread = check_schema(document, "models.schema.json", problems)
    section = Section.of(document).section("providers")
    written, problems = problems, Problems()
    names = [name for name, _ in section.sections()]
    providers = [_provider(name, provider, problems) for name, provider in section.sections()]
    providers = _with_keys(providers, problems)
    models = tuple(model for provider in providers for model in provider.models)
    for name in names:
        if name in RESERVED_NAMES:
            problems.add(messages.reserved_name("provider", name, section.key(name)))
    if not models and not written.has_errors and not problems.has_errors:
        problems.add(messages.no_models(section.span))
    written.add_all(found for found in problems.found if not unread.covers(found.span))
    return Catalogue(tuple(providers), models, is_open=unread.is_open("providers"))


# --- Providers ----------------------------------------------------------------------------------------

RESERVED_NAMES = (*LOCALITIES, "any")
"""What rules call whole classes of models; no provider and no model may have such a name: `use
local` would be ambiguous."""


def _provider(name: str, section: Section, problems: Problems) -> Provider:
    locality: Locality = "local" if section.text("type") == "local" else "cloud"
    api = _api(name, locality, section, problems)
    if section.value.get("models") == [] and not section.flag("discover"):
        problems.add(messages.provider_without_models(name, section.key("models")))
    networks = _networks(section, problems)
    if locality == "local":
        _check_is_local(name, section, networks, problems)
    return Provider(
        name=name,
        locality=locality,
        api=api,
        base_url=section.text("base_url"),
        base_url_env=section.text("base_url_env"),
        api_key_env=section.text("api_key_env"),
        discover=section.flag("discover") or False,
        max_concurrent=section.whole("max_concurrent"),
        networks=tuple(map(str, networks)),
        models=tuple(_models(name, locality, section, problems)),
        on_abort="as-shown" if section.section("billing").text("on_abort") == "as-shown" else "whole",
        span=section.span,
    )


def _api(name: str, locality: Locality, section: Section, problems: Problems) -> str:
    """The API that is written, else the one that the name begins with: `ollama`, `ollama-gpu`,
    `openai_eu`."""
    written = "api" in section
    api = APIS.get(section.text("api") or "") if written else api_named(name)
    if api is None:
        if section.value and not written:  # the schema reports what is no provider, and an API that is none
            problems.add(messages.api_needed(name, tuple(APIS), section.span))
        return next(iter(APIS))
    has_address = "base_url" in section or "base_url_env" in section
    if not has_address and api.default_url(name, locality) is None:
        is_vendors = api.vendor_url is not None
        problems.add(messages.address_needed(name, api.name, section.span, is_vendors=is_vendors))
    return api.name


def _networks(section: Section, problems: Problems) -> "list[IPv4Network | IPv6Network]":
    written = section.names("networks")
    if not written:
        return []
    from ipaddress import ip_network

    networks = []
    for text, span in written:
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            problems.add(messages.no_network(text, span))
            continue
        if network.prefixlen < _WIDEST_NETWORK[network.version]:
            problems.add(messages.network_too_wide(text, _WIDEST_NETWORK[network.version], span))
        networks.append(network)
    return networks


_WIDEST_NETWORK = {4: 8, 6: 7}
"""Prefixes by IP version: 10.0.0.0/8 and fc00::/7 are the widest private networks there are."""


def _check_is_local(
    name: str, section: Section, networks: "list[IPv4Network | IPv6Network]", problems: Problems
) -> None:
    """Warns when a provider called local has another address, and refuses models that the server passes on
    to a cloud."""
    host = _host(section.text("base_url") or "")
    if host is not None and not _is_local(host, networks):
        problems.add(messages.address_is_not_local(name, host, _is_public(host), section.at("base_url")))
    for model in section.members("models"):
        if (id := model.text("id")) and id.casefold().endswith((":cloud", "-cloud")):
            problems.add(messages.cloud_model_called_local(id, model.at("id")))


def _host(address: str) -> str | None:
    """The host of an address, in lower case, without port and brackets."""
    found = re.match(r"https?://(?:[^/?#@]*@)?(\[[^\]]*\]|[^:/?#]*)", address, re.IGNORECASE)
    return found[1].strip("[]").lower() or None if found else None


def _is_local(host: str, networks: "list[IPv4Network | IPv6Network]") -> bool:
    """This machine or one of the networks, as far as the text alone says: a name may be in any network
    listed."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _ip_address(host)
    if address is None:
        return bool(networks)
    return address.is_loopback or any(address in network for network in networks)


def _is_public(host: str) -> bool:
    address = _ip_address(host)
    if address is not None:
        return not (address.is_private or address.is_link_local)
    return "." in host and not host.endswith((".local", ".internal", ".lan", ".home.arpa", ".test"))


def _ip_address(host: str) -> "IPv4Address | IPv6Address | None":
    from ipaddress import ip_address

    try:
        return ip_address(host)
    except ValueError:
        return None


# --- Models -------------------------------------------------------------------------------------------


def _models(provider: str, locality: Locality, section: Section, problems: Problems) -> Iterator[Model]:
    seen: dict[str, Span] = {}
    for model in section.members("models"):
        id = model.text("id")
        if id is None:
            continue
        place = model.at("id")
        if id in RESERVED_NAMES:
            problems.add(messages.reserved_name("model", id, place))
        if id in seen:
            problems.add(messages.repeated_model(id, provider, place, seen[id]))
            continue
        seen[id] = place
        yield _model(id, provider, locality, section, model, problems)


def _model(
    id: str, provider: str, locality: Locality, above: Section, section: Section, problems: Problems
) -> Model:
    costs = section.section("cost_profile")
    capabilities = tuple(dict.fromkeys(name for name, _ in section.names("capabilities")))
    tags = (name for name, _ in (*above.names("tags"), *section.names("tags")))
    return Model(
        key=id,
        id=id,
        provider=provider,
        locality=locality,
        display_name=section.text("display_name") or id,
        capabilities=capabilities,
        max_context=section.whole("max_context") or 0,
        quality=_one_of(QUALITIES, section.text("quality_tier")),
        latency=_one_of(THREE_LEVELS, section.text("latency_tier")),
        tools=_tools(section, capabilities),
        zone=section.text("zone") or above.text("zone"),
        tags=tuple(dict.fromkeys(tags)),
        relative_cost=_or(costs.decimal("relative_cost"), Decimal(1)),
        prices=_prices(id, locality, section, costs, problems),
        cache_ttl_s=section.whole("cache_ttl_s"),
        span=section.at("id"),
    )


def _tools(section: Section, capabilities: tuple[str, ...]) -> ToolSupport:
    flag = section.flag("tools")
    if flag is not None:
        return "yes" if flag else "no"
    return "yes" if any(name.startswith("tool_use") for name in capabilities) else "unknown"


def _prices(id: str, locality: Locality, model: Section, costs: Section, problems: Problems) -> Prices | None:
    """Exactly one pair of prices; None when unknown, because a missing price must never count as free."""
    cost_type = costs.text("type")
    if cost_type is not None and (cost_type == "paid") != (locality == "cloud"):
        problems.add(messages.cost_type_contradicts(id, cost_type, locality, costs.at("type")))
    per_1k = [key for key in ("input_per_1k", "output_per_1k") if key in costs]
    per_1m = [key for key in ("input_per_1m", "output_per_1m") if key in costs]
    if per_1k and per_1m:
        problems.add(messages.both_price_units(costs.key(per_1m[0]), costs.key(per_1k[0])))
        return None
    unit, factor = ("1k", 1000) if per_1k else ("1m", 1)
    input, output = costs.decimal(f"input_per_{unit}"), costs.decimal(f"output_per_{unit}")
    if input is not None and output is not None:
        cached, write = costs.decimal("cached_input_per_1m"), costs.decimal("cache_write_per_1m")
        return Prices(input * factor, output * factor, cached, write)
    if locality == "cloud" and (per_1k or per_1m):
        missing = f"{'output' if 'input' in (per_1k or per_1m)[0] else 'input'}_per_{unit}"
        problems.add(messages.half_a_price(id, missing, costs.span))
    elif locality == "cloud":
        problems.add(messages.no_price(id, model.at("id")))
    return None


def _one_of(scale: tuple[str, ...], value: str | None) -> str:
    return value if value in scale else scale[0]


def _or(value: Decimal | None, default: Decimal) -> Decimal:
    return default if value is None else value


# --- Keys ---------------------------------------------------------------------------------------------


def _with_keys(providers: list[Provider], problems: Problems) -> list[Provider]:
    """Every model with the name it is written by: its id, or PROVIDER/ID when two providers have that id."""
    uses = Counter(model.id for provider in providers for model in provider.models)
    places: dict[str, Span] = {}

    def with_key(model: Model) -> Model:
        key = model.id if uses[model.id] == 1 else f"{model.provider}/{model.id}"
        if key in places:
            problems.add(messages.same_model_key(key, model.span, places[key]))
        places[key] = model.span
        return replace(model, key=key)

    return [replace(provider, models=tuple(map(with_key, provider.models))) for provider in providers]

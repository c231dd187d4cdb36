"""`timeouts` of policies.yaml: how long an exchange may take, and one attempt at a provider or a model."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal

from engine.config.catalogue import Catalogue
from engine.config.messages import settings as messages
from engine.config.section import Section
from engine.language.diagnostics import Diagnostic, Problems
from engine.language.source import Span


@dataclass(frozen=True, slots=True)
class Clocks:
    """Seconds of one attempt; None is what the next wider place says, and at last the router's own default.

    `connect_s` is for the connection, `first_token_s` and `idle_s` for silence before and after the first
    token, `whole_s` for the whole attempt, `load_s` for a model that is being loaded.
    """

    connect_s: Decimal | None = None
    first_token_s: Decimal | None = None
    idle_s: Decimal | None = None
    whole_s: Decimal | None = None
    load_s: Decimal | None = None

    def within(self, wider: "Clocks") -> "Clocks":
        """These, and those of `wider` where these say nothing."""
        unsaid = [clock.name for clock in fields(self) if getattr(self, clock.name) is None]
        return replace(self, **{name: getattr(wider, name) for name in unsaid})


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds for a whole exchange, by how much waiting costs (None is the router's own default), and the
    clocks of one attempt: of all, by provider, by a model's key."""

    default_s: Decimal | None = None
    high_latency_ok_s: Decimal | None = None
    low_latency_required_s: Decimal | None = None
    attempt: Clocks = Clocks()
    by_provider: Mapping[str, Clocks] = field(default_factory=dict)
    by_model: Mapping[str, Clocks] = field(default_factory=dict)

    def of(self, provider: str, model: str) -> Clocks:
        """The clocks of an attempt at this model (its key) of this provider: the nearest place decides."""
        wider = self.by_provider.get(provider, Clocks()).within(self.attempt)
        return self.by_model.get(model, Clocks()).within(wider)


def read_timeouts(section: Section, catalogue: Catalogue, problems: Problems) -> Timeouts:
    """The section as it is written. Warns of a provider or model that the catalogue does not have."""
    return Timeouts(
        default_s=section.decimal("default"),
        high_latency_ok_s=section.decimal("high_latency_ok"),
        low_latency_required_s=section.decimal("low_latency_required"),
        attempt=_clocks(section),
        by_provider=_by_name(
            section.section("providers"),
            [provider.name for provider in catalogue.providers],
            lambda name, known, span: messages.unknown_provider_here(name, "time limit", known, span),
            problems,
        ),
        by_model=_by_name(
            section.section("models"),
            [model.key for model in catalogue.models],
            messages.timeout_of_unknown_model,
            problems,
        ),
    )


def _clocks(section: Section) -> Clocks:
    return Clocks(**{clock.name: section.decimal(clock.name.removesuffix("_s")) for clock in fields(Clocks)})


def _by_name(
    section: Section,
    known: list[str],
    unknown: Callable[[str, Iterable[str], Span], Diagnostic],
    problems: Problems,
) -> dict[str, Clocks]:
    for name in section.value:
        if name not in known:
            problems.add(unknown(name, known, section.key(name)))
    return {name: _clocks(part) for name, part in section.sections() if name in known}

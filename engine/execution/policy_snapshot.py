"""One policy in force, with the providers, prices and time limits that follow from it. A request keeps the
snapshot it began with to its end, whatever is loaded meanwhile; the connections of an old snapshot close with
its last
request."""

import math
import threading
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cached_property
from operator import attrgetter
from typing import NamedTuple

from engine.budget import FREE, Limits, Rates, TokenPrices
from engine.config.catalogue import Model
from engine.config.catalogue import Provider as Configured
from engine.config.settings import SMALL_LIMIT_USD
from engine.environment import Environment
from engine.execution.mentioned_names import MentionedNames
from engine.execution.provider_factory import (
    Given,
    address_text,
    egress_of,
    make_provider,
    missing_variable,
    target_of,
)
from engine.forks import after_fork
from engine.policy import Policy
from engine.providers.base import Permit, Provider, Target, Timeouts

DEADLINE_S = 120.0

_USUAL = Timeouts()
_LABELS = ("task.labels", "session.labels")
CONNECT_S, FIRST_TOKEN_S, IDLE_S, LOAD_S = (
    _USUAL.connect_s,
    _USUAL.first_token_s,
    _USUAL.idle_s,
    _USUAL.load_s,
)


class _Clocks(NamedTuple):
    """What policies.yaml says for one model, in seconds; the schema takes no zero."""

    connect_s: float | None
    first_token_s: float | None
    idle_s: float | None
    load_s: float | None
    whole_s: float | None


class PolicySnapshot:
    """A policy and what it takes to carry its decisions out. Providers are made when first asked for."""

    def __init__(
        self,
        policy: Policy,
        environment: Environment,
        given: Given | None,
        monotonic: Callable[[], float],
        mode: str | None = None,
    ) -> None:
        self.policy = policy
        known = policy.settings.modes.get(mode or "")
        self._forbids_cloud = known is not None and not known.allow_cloud
        self.environment = environment
        self.digest = f"{policy.folder.policy_digest}+{policy.folder.catalogue_digest}"
        self.configured: Mapping[str, Configured] = {
            provider.name: provider for provider in policy.catalogue.providers
        }
        self.prices: Mapping[str, TokenPrices | None] = {
            model.key: token_prices(model) for model in policy.catalogue.models
        }
        self._given, self._monotonic = given, monotonic
        self._providers: dict[str, Provider] = {}
        self._clocks: dict[str, _Clocks] = {}
        self._begin_again()
        after_fork(self, PolicySnapshot._begin_again)

    def _begin_again(self) -> None:
        """No request of a parent process is under way in its child."""
        self._lock = threading.Lock()
        self._requests = 0

    # -- sending

    def target(self, name: str) -> Target:
        """Where requests to this provider go."""
        return target_of(self.configured[name], self.environment, self.digest)

    def provider(self, name: str) -> Provider:
        """The adapter that speaks to this provider."""
        with self._lock:
            known = self._providers.get(name)
            if known is None:
                known = self._providers[name] = self.new_provider(name)
        return known

    def new_provider(self, name: str) -> Provider:
        """An adapter of its own, to be closed by whoever asked (one that was brought along is always the
        same)."""
        target = self.target(name)
        given = self._given.get(name) if isinstance(self._given, Mapping) else self._given
        if given is None:
            return make_provider(self.configured[name], target, self.environment, self._monotonic)
        return given if isinstance(given, Provider) else given(target)

    def permit(self, name: str) -> Permit:
        """The capability to send to this provider under this policy."""
        return Permit(name, egress_of(self.configured[name]), self.digest)

    def is_given(self, name: str) -> bool:
        """Whether this provider was brought by the caller."""
        return name in self._given if isinstance(self._given, Mapping) else self._given is not None

    def asks_for_models(self, name: str) -> bool:
        """Whether what this provider says it has decides what it may be asked for; a double says nothing."""
        return self.configured[name].discover and not self.is_given(name)

    def is_silent(self, name: str) -> bool:
        """Whether nothing may be sent there, no probe either: it is cloud, and the mode forbids the cloud."""
        return self._forbids_cloud and self.configured[name].locality == "cloud"

    def address_text(self, name: str) -> str:
        """Where this provider is, and whether the environment or models.yaml says so."""
        return address_text(self.configured[name], self.environment)

    def missing_variable(self, name: str) -> str | None:
        """The variable that should hold this provider's address or key and is not set."""
        given = self.is_given(name)
        return None if given else missing_variable(self.configured[name], self.environment)

    def missing_variables(self) -> dict[str, str]:
        """Providers whose address or key is not set, with the variable that should hold it. A key that may
        not be used is not looked for."""
        return {
            name: variable
            for name in self.configured
            if not self.is_silent(name) and (variable := self.missing_variable(name))
        }

    # -- what a request needs to know

    def deadline_s(self, latency_sensitivity: str) -> float:
        """Seconds for a whole exchange, as `timeouts` of policies.yaml says."""
        timeouts = self.policy.settings.timeouts
        by_sensitivity = {"low": timeouts.high_latency_ok_s, "high": timeouts.low_latency_required_s}
        said = by_sensitivity.get(latency_sensitivity) or timeouts.default_s
        return float(said) if said is not None else DEADLINE_S

    def timeouts(self, model: Model, share_s: float, *, is_followed: bool) -> Timeouts:
        """The clocks of one attempt that may take `share_s` seconds, as `timeouts` of policies.yaml says.

        Giving up on silence serves whoever stands behind; when nobody does, a first token has all the time
        there is.
        """
        clocks = self._clocks.get(model.key)
        if clocks is None:
            said = self.policy.settings.timeouts.of(model.provider, model.key)
            clocks = self._clocks[model.key] = _Clocks(
                *(None if value is None else float(value) for value in attrgetter(*_Clocks._fields)(said))
            )
        first_token_s = clocks.first_token_s or (FIRST_TOKEN_S if is_followed else share_s)
        whole_s = clocks.whole_s or math.inf
        return Timeouts(
            clocks.connect_s or CONNECT_S,
            min(first_token_s, share_s),
            clocks.idle_s or IDLE_S,
            min(share_s, whole_s),
            clocks.load_s or LOAD_S,
            whole_s,
        )

    def alternative(self, chain: tuple[Model, ...]) -> Model | None:
        """The dearest cloud model the chain allows: what an all-cloud router would have been paid for."""
        cloud = [model for model in chain if model.locality == "cloud" and model.price is not None]
        return max(cloud, key=lambda model: model.price or 0, default=None)

    def limits(self) -> Limits:
        """What may be spent: the environment's totals, else those of policies.yaml."""
        budgets, environment = self.policy.settings.budgets, self.environment
        return Limits(
            daily_usd=_first(environment.daily_limit_usd, budgets.daily.total_usd),
            monthly_usd=_first(environment.monthly_limit_usd, budgets.monthly.total_usd),
            per_provider_daily=dict(budgets.daily.per_provider),
            per_provider_monthly=dict(budgets.monthly.per_provider),
            time_zone=budgets.time_zone,
            session_usd=None if budgets.session is None else budgets.session.total_usd,
            agent_usd=None if budgets.agent is None else budgets.agent.total_usd,
            per_group_daily={
                name: limits.daily_usd
                for name, limits in budgets.groups.items()
                if limits.daily_usd is not None
            },
            per_group_monthly={
                name: limits.monthly_usd
                for name, limits in budgets.groups.items()
                if limits.monthly_usd is not None
            },
        )

    @cached_property
    def mentioned_labels(self) -> frozenset[str]:
        """The labels that rules speak of."""
        rules = self.policy.checked.rules
        return frozenset().union(*(MentionedNames(rules, fact).names for fact in _LABELS))

    @cached_property
    def default_max_output(self) -> int:
        """Tokens of output for a request that gives no limit."""
        return self.policy.settings.budgets.max_output

    @cached_property
    def learns_holds(self) -> bool:
        """Whether holds are made by what was learnt: as written, else when no limit is under a dollar."""
        written = self.policy.settings.budgets.holds
        if written is not None:
            return written == "learnt"
        limits = (account.limit_micro_usd for account in self.limits().limited_accounts())
        return min((limit for limit in limits if limit is not None), default=10**9) >= SMALL_LIMIT_USD * 10**6

    # -- its own life

    def begin(self) -> None:
        """A request pins this snapshot."""
        with self._lock:
            self._requests += 1

    def end(self) -> None:
        """A request is over."""
        with self._lock:
            self._requests -= 1

    @property
    def is_idle(self) -> bool:
        """No request is under way."""
        return self._requests == 0

    async def aclose(self) -> None:
        """Close every connection."""
        with self._lock:
            providers, self._providers = self._providers, {}
        for provider in providers.values():
            await provider.aclose()


def token_prices(model: Model) -> TokenPrices | None:
    """A local model is free; None for a cloud model without a price, which the ledger refuses."""
    if model.locality == "local":
        return FREE
    prices = model.prices
    if prices is None:
        return None
    return TokenPrices(Rates.from_usd(prices.input, prices.output, prices.cached_input, prices.cache_write))


def _first(environment: Decimal | None, written: Decimal | None) -> Decimal | None:
    return written if environment is None else environment

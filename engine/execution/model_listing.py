"""The catalogue and what providers say they have -> every model as plain values, with whether it may be
chosen and why not."""

from collections.abc import Mapping
from typing import Any

from engine.config.catalogue import Model
from engine.config.model_values import model_values
from engine.execution.policy_snapshot import PolicySnapshot
from engine.execution.provider_health import HealthTracker
from engine.execution.runtime_facts import RuntimeFacts
from engine.providers.base import DiscoveredModel, find_model


def listed_models(
    snapshot: PolicySnapshot, tracker: HealthTracker, runtime_facts: RuntimeFacts
) -> list[dict[str, Any]]:
    """The catalogue in its order, then what was discovered beside it (shown, and never eligible)."""
    rows = [_listed(model, snapshot, tracker, runtime_facts) for model in snapshot.policy.catalogue.models]
    for name, configured in snapshot.configured.items():
        known = {model.id for model in configured.models}
        for found in (tracker.models_at(name) or {}).values():
            if found.id not in known and found.id.removesuffix(":latest") not in known:
                rows.append(_discovered(name, configured.locality, found))
    return rows


def _listed(
    model: Model, snapshot: PolicySnapshot, tracker: HealthTracker, runtime_facts: RuntimeFacts
) -> dict[str, Any]:
    known = tracker.models_at(model.provider)
    found = None if known is None else find_model(known, model.id)
    why_not = _why_not(model, snapshot, tracker, runtime_facts, known)
    return model_values(model) | {
        "source": "catalogue",
        "discovered": None if known is None else found is not None,
        "warm": model.key in runtime_facts.models_warm,
        "window_in_effect": None if found is None else found.loaded_context_tokens or found.context_tokens,
        "eligible": why_not is None,
        "why_not": why_not,
    }


def _why_not(
    model: Model,
    snapshot: PolicySnapshot,
    tracker: HealthTracker,
    runtime_facts: RuntimeFacts,
    known: Mapping[str, DiscoveredModel] | None,
) -> str | None:
    """What keeps any task from this model now; a task's own guards come on top."""
    if model.locality == "cloud" and model.price is None:
        return "no price is written for it"
    if model.provider in runtime_facts.provider_down:
        missing = snapshot.missing_variables().get(model.provider)
        return f"{missing} is not set" if missing else tracker.down(model.provider) or "its provider is down"
    if model.provider in runtime_facts.budget_exhausted_providers:
        return "its provider's budget is spent"
    if (
        model.locality == "cloud"
        and max(runtime_facts.budget_daily_used, runtime_facts.budget_monthly_used) >= 100
    ):
        return "the budget is spent"
    found = None if known is None else find_model(known, model.id)
    if known is not None and snapshot.asks_for_models(model.provider) and found is None:
        return "its provider does not have it"
    if found is not None and found.remote_host and model.locality == "local":
        return "its provider would pass it on to a remote host"
    return tracker.resting((model.provider, model.id))


def _discovered(provider: str, locality: str, found: DiscoveredModel) -> dict[str, Any]:
    return {
        "model": found.id,
        "id": found.id,
        "provider": provider,
        "locality": "cloud" if found.remote_host else locality,
        "display_name": found.id,
        "price": None,
        "input_per_1m": None,
        "output_per_1m": None,
        "max_context": found.context_tokens,
        "quality": None,
        "latency": None,
        "tools": {True: "yes", False: "no", None: "unknown"}[found.tools],
        "capabilities": list(found.capabilities),
        "zone": None,
        "tags": [],
        "source": "discovered",
        "discovered": True,
        "warm": bool(found.warm),
        "window_in_effect": found.loaded_context_tokens or found.context_tokens,
        "eligible": False,
        "why_not": "a remote host answers for it" if found.remote_host else "models.yaml does not list it",
    }

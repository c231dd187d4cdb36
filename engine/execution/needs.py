"""What a task needs, and what providers said of their models -> the models that meet it though the catalogue
does not say so."""

from collections.abc import Callable, Iterable, Mapping

from engine.config.catalogue import Model
from engine.providers.base import DiscoveredModel, find_model

ModelsAt = Callable[[str], Mapping[str, DiscoveredModel] | None]
"""What a provider last told of its models; None when it was not asked."""


def capable(
    models: Iterable[Model], needs: frozenset[str], shown: frozenset[str], models_at: ModelsAt
) -> frozenset[str]:
    """The keys of those models. `shown` are the needs that the request itself shows: for these somebody must
    have said that the model can. A need that only the profile states is also met by a model of which nothing
    is known."""
    return frozenset(
        model.key
        for model in models
        if (missing := needs.difference(model.offers)) and _meets(model, missing, shown, models_at)
    )


def untold(
    models: Iterable[Model], needs: frozenset[str], models_at: ModelsAt, can_tell: Callable[[str], bool]
) -> set[str]:
    """The providers worth asking: local ones that can tell what their models do and were not asked, with a
    model of which that is not known."""
    return {
        model.provider
        for model in models
        if model.locality == "local"
        and needs.difference(model.offers)
        and can_tell(model.provider)
        and models_at(model.provider) is None
    }


def _meets(model: Model, missing: frozenset[str], shown: frozenset[str], models_at: ModelsAt) -> bool:
    known = models_at(model.provider)
    found = None if known is None else find_model(known, model.id)
    told = frozenset(() if found is None else found.capabilities)
    if told:
        return missing <= told and not (model.tools == "no" and "tools" in missing)
    return not model.capabilities and not missing & shown and not (model.tools == "no" and "tools" in missing)

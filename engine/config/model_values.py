"""A model of the catalogue -> plain values, as `engine models --format json` and the library list it."""

from typing import Any

from engine.config.catalogue import Model


def model_values(model: Model) -> dict[str, Any]:
    """A model as plain values; prices in US dollars per million tokens, None when unknown."""
    prices = model.prices
    return {
        "model": model.key,
        "id": model.id,
        "provider": model.provider,
        "locality": model.locality,
        "display_name": model.display_name,
        "price": None if model.price is None else float(model.price),
        "input_per_1m": None if prices is None else float(prices.input),
        "output_per_1m": None if prices is None else float(prices.output),
        "max_context": model.max_context,
        "quality": model.quality,
        "latency": model.latency,
        "tools": model.tools,
        "capabilities": list(model.capabilities),
        "zone": model.zone,
        "tags": list(model.tags),
    }

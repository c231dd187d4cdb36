"""A model of the catalogue -> what the ledger books for it."""

from engine.budget import FREE, Rates, TokenPrices
from engine.config.catalogue import Model


def token_prices(model: Model) -> TokenPrices | None:
    """A local model is free; None for a cloud model without a price, which the ledger refuses."""
    if model.locality == "local":
        return FREE
    prices = model.prices
    if prices is None:
        return None
    return TokenPrices(Rates.from_usd(prices.input, prices.output, prices.cached_input, prices.cache_write))

"""models.yaml -> the catalogue: every provider and model a policy may choose, as typed values.

What is written is taken literally; a price that is missing stays unknown and is never zero. Nothing here
looks at the network or the environment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Literal, TypeAlias

from engine.language.source import Span
from engine.language.syntax_tree import span_field

Locality: TypeAlias = Literal["local", "cloud"]
ToolSupport: TypeAlias = Literal["yes", "no", "unknown"]
Api: TypeAlias = Literal["ollama", "anthropic", "openai"]


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars per million tokens, as written (a `_per_1k` price times 1000)."""

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None

    @property
    def blended(self) -> Fraction:
        """Three parts input to one part output (language.md, `model.price`)."""
        return (3 * Fraction(self.input) + Fraction(self.output)) / 4


@dataclass(frozen=True, slots=True)
class Model:
    """One model of one provider. `key` is how it is written everywhere: its id, or "PROVIDER/ID" when two
    providers have that id (ruling 33)."""

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
    span: Span = span_field()

    @property
    def price(self) -> Fraction | None:
        """`model.price`: blended US dollars per million tokens, 0 for a local model (ruling 24), None when unknown."""
        if self.locality == "local":
            return Fraction(0)
        return self.prices.blended if self.prices else None


@dataclass(frozen=True, slots=True)
class Provider:
    """Where models are served. Keys and addresses are names of variables, or written out; never read here."""

    name: str
    locality: Locality
    api: Api
    base_url: str | None
    base_url_env: str | None
    api_key_env: str | None
    discover: bool
    max_concurrent: int | None
    models: tuple[Model, ...]
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every provider and model, in the order of models.yaml."""

    providers: tuple[Provider, ...]
    models: tuple[Model, ...]
    by_key: Mapping[str, Model] = field(compare=False, repr=False)

"""The bundled price table: what well-known models are sold for, to notice a price that is a thousand times
off.

It decides nothing and is never used in place of a price: a catalogue's own prices are taken literally.
"""

import json
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("reference_prices.json")
_DATED = re.compile(r"(-\d{8}|-\d{4}-\d{2}-\d{2}|-latest|@[\w.-]+)$")


@dataclass(frozen=True, slots=True)
class ReferencePrice:
    """US dollars per million tokens, and since when and from where it is known."""

    input: Fraction
    output: Fraction
    date: str

    @property
    def blended(self) -> Fraction:
        """Three parts input to one part output, as `model.price`."""
        return (3 * self.input + self.output) / 4


def reference_price(model_id: str) -> ReferencePrice | None:
    """What the table says of a model; versions that a date names are the model itself."""
    name = model_id.lower().rpartition("/")[2]
    table = _table()
    return table.get(name) or table.get(_DATED.sub("", name))


@cache
def _table() -> dict[str, ReferencePrice]:
    written = json.loads(_FILE.read_text(encoding="utf-8"))
    return {
        model: ReferencePrice(Fraction(input), Fraction(output), written["date"])
        for model, (input, output) in written["prices"].items()
    }

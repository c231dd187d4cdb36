"""Weights that are written as parts of a hundred -> what to write instead."""

from decimal import Decimal

from engine.language import syntax_tree as tree

WEIGHTS = ("cost", "quality", "latency")
"""The parts of a score."""


def shares_of_a_hundred(weigh: tree.Weigh) -> str | None:
    """`cost 30, quality 60, latency 10` and the same with `%`, as shares of one."""
    texts = [share.weight.text.removesuffix("%") for share in weigh.shares]
    if len(texts) != len(WEIGHTS) or any("$" in text or text[-1] in "kM" for text in texts):
        return None
    amounts = [Decimal(text) for text in texts]
    if sum(amounts) != 100:
        return None
    named = zip((share.part.text for share in weigh.shares), amounts, strict=True)
    return ", ".join(f"{part} {amount.scaleb(-2).normalize():f}" for part, amount in named)

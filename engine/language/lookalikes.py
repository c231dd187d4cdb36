"""A name -> what it looks like, so that two names that only look alike can be told."""

import unicodedata
from functools import lru_cache

# Letters of other scripts that look like a Latin one, from https://www.unicode.org/Public/security/16.0.0/
# confusables.txt (Unicode Technical Standard 39), as far as they are single letters of Cyrillic, Greek,
# Armenian and IPA. The capital I is like both i and l: see `looks`.
_LIKE_LATIN = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеѕіјорсухһԁԛԝӏΑΒΕΖΗΙΚΜΝΟΡΤΥΧαικνορυγօսհոɑɡıǀ01|",
    "ABESIJKMHOPCTYXaesijopcyxhdqwlABEZHIKMNOPTYXaikvopuyouhnagiloll",
)
_IGNORED = {"Zs", "Zl", "Zp", "Pd", "Pc", "Cf", "Cc"}
"""Blanks, hyphens, underscores, and what is not seen."""


@lru_cache(maxsize=4096)
def looks(name: str) -> frozenset[str]:
    """What the name looks like without case, width, blanks and hyphens; two names with one look in common
    look alike.

    >>> looks("PII") & looks("p-i i") & looks("рii"), looks("pii") & looks("pin")
    (frozenset({'pii'}), frozenset())
    """
    wide = unicodedata.normalize("NFKC", name)
    return frozenset(_look(wide.replace("I", read)) for read in "Il")


def _look(name: str) -> str:
    once = name.translate(_LIKE_LATIN).casefold().translate(_LIKE_LATIN)
    parts = unicodedata.normalize("NFKC", once)
    return "".join(letter for letter in parts if unicodedata.category(letter) not in _IGNORED)

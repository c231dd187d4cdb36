"""What a vendor's SDK has read -> its fields by the names that stood in the answer, known to the SDK or not.

Asking such an object for a name that it does not have is slow, and servers of a dialect have names of their
own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def fields_of(value: object) -> Mapping[str, Any]:
    """The fields of a mapping or of an SDK's object; empty for anything else.

    >>> fields_of({"id": "a"}), fields_of(None)
    ({'id': 'a'}, {})
    """
    if isinstance(value, dict):
        return value
    known = getattr(value, "__dict__", None)
    if known is None:
        return value if isinstance(value, Mapping) else {}
    others = getattr(value, "model_extra", None)
    return {**known, **others} if others else known

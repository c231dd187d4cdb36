"""One reason why a draft of a policy is not taken unasked, with the task that shows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from engine.language.checked_policy import FactValue

Kind: TypeAlias = Literal["draft", "policy", "test", "proof", "dropped", "leak", "spending", "unknown"]
"""draft: no files that a draft may have. policy: an error in their text. test, proof: one that fails.
dropped: one of the folder that the draft does not keep. leak, spending, unknown: the judgement's."""


@dataclass(frozen=True, slots=True)
class Objection:
    """`given` is the simplest task that shows it, `before` and `after` are its chains under the folder and
    under the draft; None and empty where no task is needed to see it."""

    kind: Kind
    text: str
    given: Mapping[str, FactValue] | None = None
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

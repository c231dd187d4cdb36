"""A syntax hint: what went wrong in one statement, and how parsing can go on behind it."""

from dataclasses import dataclass

from engine.language.diagnostics import Diagnostic
from engine.language.error_context import Edit


@dataclass(frozen=True, slots=True)
class SyntaxHint:
    """What went wrong, and the edit behind which parsing can go on; None when nothing is plain enough.

    `is_fix` when the edit is also what the help says: what was meant is certain. `is_next` when what stands
    before the place is a whole statement, and another was to begin here.
    """

    diagnostic: Diagnostic
    edit: Edit | None = None
    is_fix: bool = True
    is_next: bool = False

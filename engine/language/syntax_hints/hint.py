"""A syntax hint: what went wrong in one statement, and how parsing can go on behind it."""

from dataclasses import dataclass

from engine.language.diagnostics import Diagnostic
from engine.language.error_context import Edit


@dataclass(frozen=True, slots=True)
class SyntaxHint:
    """What went wrong, and the edit behind which parsing can go on; None when what was meant is not
    certain."""

    diagnostic: Diagnostic
    edit: Edit | None = None

"""Every sentence said to a policy author: one function per diagnostic, so that tone and wording are reviewed here.

Lower case, no full stop, no Python words. The message says what is wrong, with the author's own text; `help` says
what to write instead. Closed sets are listed; a similar name is offered as a statement, and only when it is near.
"""

from collections.abc import Iterable
from difflib import get_close_matches

from engine.language.diagnostics import Diagnostic, Level, Note, visible
from engine.language.source import Span

# --- Wording shared by many ---------------------------------------------------------------------------


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one known name that is near enough to be what was meant, or None."""
    matches = get_close_matches(name, list(known), n=1, cutoff=0.75)
    return matches[0] if matches else None


def listed(names: Iterable[str], most: int = 12) -> str:
    """`a, b, c`, cut with a count when there are many."""
    names = list(names)
    shown = ", ".join(visible(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


# --- Writing: files, characters, grammar --------------------------------------------------------------


# --- Meaning: names, types, values --------------------------------------------------------------------


# --- Compiling: rules that grow too large -------------------------------------------------------------


def rule_too_complex(name: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "rule-too-complex",
        Level.ERROR,
        f"the condition of `{name}` comes to more than 4096 alternatives",
        span,
        help="split this rule: every `or` inside an `and` multiplies, and several rules of one kind act together",
    )


# --- Configuration: the two YAML files ----------------------------------------------------------------

"""The wording that many sentences share: names listed or offered, texts cut and safe to show."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from engine.language.diagnostics import visible

BARE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:[-.:][A-Za-z0-9_]+)*")
"""A name that may stand without quotes."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one known name that is near enough to be what was meant, or None."""
    matches = get_close_matches(name, list(known), n=1, cutoff=0.75)
    return matches[0] if matches else None


def similar_or(name: str, known: Iterable[str], otherwise: str) -> str:
    """What to write: the similar name, where there is one."""
    near = nearest(name, known)
    return f"write `{visible(near)}`" if near else otherwise


def listed(names: Iterable[str], most: int = 12) -> str:
    """`a, b, c`, cut with a count when there are many."""
    names = list(names)
    shown = ", ".join(visible(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def shortened(text: str, most: int = 60) -> str:
    """The author's text on one line, cut when it is long, safe to show."""
    text = " ".join(text[: 4 * most].split())
    return visible(text if len(text) <= most else text[: most - 3] + "...")


def tick(text: str) -> str:
    """The author's own text between backticks, on one line and safe to show."""
    return f"`{shortened(text)}`"


def written_name(name: str) -> str:
    """A name as it must be written: in quotes unless it is a bare one."""
    return name if BARE_NAME.fullmatch(name) else quoted(name)


def quoted(text: str) -> str:
    """The text in double quotes, as the language writes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def meant(text: str, known: Iterable[str]) -> str | None:
    """The known name that was meant: the same in another case, else the nearest."""
    known = list(known)
    folded = text.casefold()
    return next((name for name in known if name.casefold() == folded), None) or nearest(text, known)


def similar_or_listed(text: str, known: Iterable[str], what: str, whats: str, search: bool = True) -> str:
    """A known name that is similar, else all of them.

    `search` is false once a run has searched so often that more of it would cost too much time.
    """
    known = list(known)
    if not known:
        return f"there are no {whats}"
    similar = meant(text, known) if search else None
    if similar is not None:
        return f"{tick(written_name(similar))} is a similar {what}"
    return f"the {whats} are {listed_names(known)}"


def listed_names(known: Sequence[str]) -> str:
    """The names as they must be written, cut with a count when there are many."""
    return listed([*map(written_name, known[:12]), *known[12:]])

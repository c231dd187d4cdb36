"""The shape of a sentence to a policy author: what is wrong, then what to write instead.

Sentences are lower case, without a full stop and without words of Python. The message quotes the author's own
text; the help says what to write. Closed sets are listed; a similar name is offered only when it is near.
Each phase keeps its sentences beside it: `language/messages`, `config/messages`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from engine.language.diagnostics import Diagnostic, Level, Note, Replacement
from engine.language.source import Span
from engine.language.spelling import is_slip
from engine.language.wording import shortened, tick


def error(
    slug: str, span: Span, message: str, help: str | None = None, notes: Iterable[Note] = ()
) -> Diagnostic:
    return Diagnostic(slug, Level.ERROR, message, span, help, tuple(notes))


def warning(
    slug: str, span: Span, message: str, help: str | None = None, notes: Iterable[Note] = ()
) -> Diagnostic:
    return Diagnostic(slug, Level.WARNING, message, span, help, tuple(notes))


def proposal(
    slug: str, span: Span, message: str, right: str, notes: Iterable[Note] = (), place: Span | None = None
) -> Diagnostic:
    """An error whose help is what to write in the place of the span, or of another place."""
    fix = Replacement(place or span, right)
    return replace(error(slug, span, message, f"write {tick(right)}", notes), fix=fix)


def offering(found: Diagnostic, written: str, similar: str | None, right: str) -> Diagnostic:
    """The finding, with the name that its help offers as its fix where only a slip divides the two."""
    if similar is None or not is_slip(written, similar):
        return found
    return replace(found, fix=Replacement(found.span, right))


@dataclass(frozen=True, slots=True)
class Sentence:
    """An error with the same words wherever it occurs; `{here}` is the author's text at the place."""

    slug: str
    message: str
    help: str | None = None

    def __call__(self, span: Span) -> Diagnostic:
        here = shortened(span.text)
        return error(
            self.slug, span, self.message.format(here=here), self.help and self.help.format(here=here)
        )


@dataclass(frozen=True, slots=True)
class SentenceWith:
    """An error with one text besides `{here}`: `{text}`, mostly what to write instead."""

    slug: str
    message: str
    help: str = "write `{text}`"

    def __call__(self, span: Span, text: str) -> Diagnostic:
        here, text = shortened(span.text), shortened(text)
        message = self.message.format(here=here, text=text)
        return error(self.slug, span, message, self.help.format(here=here, text=text))

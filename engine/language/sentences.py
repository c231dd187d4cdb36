"""The shape of a sentence to a policy author: what is wrong, then what to write instead.

Sentences are lower case, without a full stop and without words of Python. The message quotes the author's own
text; the help says what to write. Closed sets are listed; a similar name is offered only when it is near.
Each phase keeps its sentences beside it: `language/messages`, `config/messages`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from engine.language.diagnostics import Diagnostic, Level, Note
from engine.language.source import Span
from engine.language.wording import shortened


def error(
    slug: str, span: Span, message: str, help: str | None = None, notes: Iterable[Note] = ()
) -> Diagnostic:
    return Diagnostic(slug, Level.ERROR, message, span, help, tuple(notes))


def warning(
    slug: str, span: Span, message: str, help: str | None = None, notes: Iterable[Note] = ()
) -> Diagnostic:
    return Diagnostic(slug, Level.WARNING, message, span, help, tuple(notes))


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

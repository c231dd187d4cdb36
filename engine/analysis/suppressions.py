"""Comments that allow a finding -> which findings they take away, and what is wrong with them.

`# lint: allow SLUG because REASON` stands on the line above a statement and allows that finding there,
nowhere else. The reason is mandatory, and an allowance that allows nothing is a finding itself, so that none
outlives what it was for.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from engine.language.diagnostics import Diagnostic, visible
from engine.language.source import Source, Span
from engine.language.syntax_tree import Statement
from engine.language.wording import nearest

# Each part ends where the next begins, so that a long line of a stranger's costs no more than once.
_COMMENT = re.compile(r"^[ \t]*(#[ \t]*lint:[^\r\n]*)", re.MULTILINE)
_FORM = re.compile(r"allow[ \t]+([a-z0-9-]+)[ \t]+because[ \t]+\S.*")
FORM = "# lint: allow SLUG because REASON"


@dataclass(frozen=True, slots=True)
class Suppression:
    """One well-formed comment and the statement under it."""

    slug: str
    span: Span
    statement: Span

    def covers(self, finding: Diagnostic) -> bool:
        span = finding.span
        return (
            finding.slug == self.slug
            and span.source.name == self.statement.source.name
            and self.statement.start <= span.start <= span.end <= self.statement.end
        )


@dataclass(frozen=True, slots=True)
class Misuse:
    """A comment that begins like a suppression and is none, with what is wrong."""

    span: Span
    message: str
    help: str


def read_suppressions(
    sources: Iterable[Source], statements: Sequence[Statement], allowed: Iterable[str]
) -> Iterator[Suppression | Misuse]:
    """Every comment of some files that begins with `# lint:`, in order."""
    known = frozenset(allowed)
    below = {(each.span.source.name, each.span.line): each.span for each in reversed(statements)}
    for source in sources:
        comments = {source.position(found.start(1))[0]: found for found in _COMMENT.finditer(source.text)}
        for line, found in comments.items():
            text = found[1].rstrip()
            span = source.span(found.start(1), found.start(1) + len(text))
            form = _FORM.fullmatch(text.partition("lint:")[2].lstrip())
            following = line + 1
            while following in comments:
                following += 1
            statement = below.get((source.name, following))
            if form is None:
                yield Misuse(
                    span, "this allows nothing: it names no finding or gives no reason", f"write `{FORM}`"
                )
            elif form[1] not in known:
                near = nearest(form[1], known)
                help = f"did you mean `{near}`" if near else "`engine lint --list` shows what can be allowed"
                yield Misuse(span, f"`{visible(form[1])}` is no finding that can be allowed", help)
            elif statement is None:
                yield Misuse(
                    span,
                    "no statement begins on the line below this",
                    "put it right above the statement it is for",
                )
            else:
                yield Suppression(form[1], span, statement)

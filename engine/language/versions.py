"""Files of a policy -> which version of the language each says, and what a file uses without saying it.

A file is of version 1 unless its first statement says another. What a later version added means nothing in a
file of an earlier one: so no file changes its meaning by an upgrade.
"""

from collections.abc import Iterable

from engine.language import syntax_tree as tree
from engine.language.diagnostics import Problems
from engine.language.messages import statements as messages
from engine.language.source import Source, Span
from engine.language.vocabulary import VERSIONS, Term


class Versions:
    """The versions of some files; each file that uses more than it says is reported once, at the first
    place."""

    def __init__(self, files: Iterable[tree.File], problems: Problems) -> None:
        self._problems = problems
        self._said = {
            id(file.source): statement.version.text
            for file in files
            for statement in file.statements[:1]
            if isinstance(statement, tree.Language)
        }
        self._reported: set[int] = set()

    def term(self, span: Span, term: Term) -> None:
        """A fact or an attribute is spoken of."""
        if term.since != VERSIONS[0]:
            self.need(span, f"`{term.name}`", term.since)

    def says(self, span: Span, version: str) -> bool:
        """Whether the file is of this version or a later one."""
        said = self._said.get(id(span.source), VERSIONS[0])
        return VERSIONS.index(said) >= VERSIONS.index(version)

    def need(self, span: Span, what: str, version: str = VERSIONS[-1]) -> bool:
        """Something that this version added is written here. Whether the file may say it."""
        source: Source = span.source
        said = self._said.get(id(source))
        if not source.name.endswith(".route"):
            return True
        is_good = VERSIONS.index(said or VERSIONS[0]) >= VERSIONS.index(version)
        if not is_good and id(source) not in self._reported:
            self._reported.add(id(source))
            self._problems.add(messages.newer_language(span, what, version, said))
        return is_good


def is_newer(file: tree.File) -> bool:
    """Whether a file says a version after the first."""
    first = file.statements[:1]
    return any(isinstance(each, tree.Language) and each.version.text != VERSIONS[0] for each in first)

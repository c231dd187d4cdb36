"""The model calls and notes of a scan while it runs, one call for each place in the code."""

import ast
from dataclasses import dataclass

from engine.migration.libraries import CallKind
from engine.migration.python_files import Module, Note
from engine.migration.scopes import Scope
from engine.migration.values import Argument, ExternalObject, Keywords, union


@dataclass(frozen=True, slots=True, eq=False)
class FoundCall:
    """A call of a model. `keywords` are its own and those that its client or partial already had."""

    module: Module
    node: ast.Call
    kind: CallKind
    keywords: Keywords
    traced: bool
    """Whether its receiver could be traced; otherwise it is recognized by its shape alone."""
    function: str
    """The qualified name of the function around it; empty at module level."""
    in_async: bool
    client: ExternalObject | None


class FoundCalls:
    """Collects model calls and notes."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, int, int], FoundCall] = {}
        self._notes: set[Note] = set()

    def clear(self) -> None:
        """Forget everything: the next round finds it again."""
        self._calls.clear()
        self._notes.clear()

    def forget(self, file: str) -> None:
        """Drop the calls of a file."""
        self._calls = {place: call for place, call in self._calls.items() if place[0] != file}

    def add(
        self,
        node: ast.Call,
        scope: Scope,
        kind: CallKind,
        keywords: Keywords,
        client: ExternalObject | None = None,
        *,
        traced: bool = True,
    ) -> None:
        """Record a call. A second one at the same place, of another possible client, adds its keywords."""
        place = (scope.module.file, node.lineno, node.col_offset)
        before = self._calls.get(place)
        if before is not None:
            if before.kind.library != kind.library or before.traced > traced:
                return
            keywords = _either(before.keywords, keywords)
            client = min(filter(None, (before.client, client)), key=_creation, default=None)
        self._calls[place] = FoundCall(
            scope.module, node, kind, keywords, traced, scope.function, scope.in_async, client
        )

    def add_unsupported(self, node: ast.Call, scope: Scope, library: str, form: str) -> None:
        """Note a call of a library that the router has nothing for."""
        self.add_note(
            Note(scope.module.file, node.lineno, f"{library} {form}: the router does not make such calls")
        )

    def add_note(self, note: Note) -> None:
        """Add a note; the same one twice counts once."""
        self._notes.add(note)

    def in_order(self) -> tuple[list[FoundCall], list[Note]]:
        """Calls and notes by file and line."""
        calls = [self._calls[place] for place in sorted(self._calls)]
        return calls, sorted(self._notes, key=lambda note: (note.file, note.line, note.text))


def _either(first: Keywords, second: Keywords) -> Keywords:
    """The keywords of a call whose client may be one or the other; the expression is that which stands first.

    Sets of values have no order that two runs would share, so the place in the code decides.
    """
    both = dict(first)
    for name, argument in second:
        known = both.get(name, argument)
        shown = min(known, argument, key=lambda one: (one.file, one.node.lineno, one.node.col_offset))
        both[name] = Argument(shown.node, shown.file, union(known.values, argument.values))
    return tuple(both.items())


def _creation(client: ExternalObject) -> tuple[str, int, int]:
    """Where a client is created; one that only an annotation names sorts last."""
    return client.created_at or ("\U0010ffff", 0, 0)

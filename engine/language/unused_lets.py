"""Lets that nothing uses."""

from engine.language.checked_policy import Origin
from engine.language.diagnostics import Problems
from engine.language.messages import names as name_messages
from engine.language.resolver import Namespace


def report_unused_lets(namespace: Namespace, used: set[str], problems: Problems) -> None:
    """A let is used when a rule, test or proof speaks of it, or a let that is used does."""
    reached = set(used)
    pending = list(used)
    while pending:
        for name in namespace.made_of.get(pending.pop(), ()):
            if name not in reached:
                reached.add(name)
                pending.append(name)
    for name, declaration in namespace.declared.items():
        is_let = namespace.let(name) is not None and name not in namespace.unreadable
        if is_let and declaration.origin is Origin.USER and name not in reached:
            problems.add(name_messages.unused_let(declaration.statement.name.span, name))

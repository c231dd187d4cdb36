"""Parsed modules -> every model call through one of the four libraries, found by data flow, not by spelling.

An abstract interpreter: each expression has a set of `values`, statements are evaluated in order, and both
arms of a branch count. The body of a function is evaluated after the code around it, with the values that its
callers pass. All modules are evaluated again until nothing new is learned, at most `MOST_ROUNDS` times.
Nothing is imported or executed.
A call whose receiver cannot be traced is recognized by its shape, and marked so.
"""

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.migration.call_effects import CallEffects
from engine.migration.expressions import Expressions
from engine.migration.found_calls import FoundCall, FoundCalls
from engine.migration.module_index import absolute_name, related_modules
from engine.migration.python_files import Module, Note
from engine.migration.scopes import FunctionFacts, FunctionNode, Program, Scope
from engine.migration.values import (
    UNKNOWN,
    Class,
    ExternalName,
    Function,
    Instance,
    members,
    single,
    union,
)

MOST_ROUNDS = 6


def find_calls(modules: Sequence[Module]) -> tuple[list[FoundCall], list[Note]]:
    """Every model call in file and line order, and notes on unsupported calls and unreadable files."""
    finder = _Finder(related_modules(modules))
    finder.run()
    return finder.found.in_order()


@dataclass(frozen=True, slots=True)
class _Body:
    """A function whose body is still to be evaluated. `class_key` is the class whose method it is."""

    node: FunctionNode
    parent: Scope
    qualified: str
    class_key: str | None


class _Finder:
    """Evaluates the statements of all modules, round after round."""

    def __init__(self, modules: Sequence[Module]) -> None:
        self.found = FoundCalls()
        self._modules = modules
        self._program = Program(modules)
        self._expressions = Expressions(self._program, CallEffects(self._program, self.found))
        self._too_deep: set[str] = set()
        self._bodies: list[_Body] = []

    def run(self) -> None:
        for _ in range(MOST_ROUNDS):
            self._program.changed = False
            self.found.clear()
            for module in self._modules:
                if module.file not in self._too_deep:
                    self._evaluate_module(module)
            if not self._program.changed:
                break
        for file in self._too_deep:
            self.found.add_note(Note(file, 0, "nested too deeply to be looked through"))

    def _evaluate_module(self, module: Module) -> None:
        scope = Scope(module)
        self._bodies = []
        try:
            self._block(module.tree.body, scope)
            while self._bodies:
                bodies, self._bodies = self._bodies, []
                for body in bodies:
                    self._function_body(body)
        except RecursionError:
            self._too_deep.add(module.file)
            self.found.forget(module.file)
        self._program.set_module(scope)

    # -- statements

    def _block(self, statements: Iterable[ast.stmt], scope: Scope) -> None:
        for statement in statements:
            self._statement(statement, scope)

    def _statement(self, node: ast.stmt, scope: Scope) -> None:
        evaluate, bind = self._expressions.evaluate, self._expressions.bind
        match node:
            case ast.Import():
                self._import(node, scope)
            case ast.ImportFrom():
                self._import_from(node, scope)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._define_function(node, scope)
            case ast.ClassDef():
                self._define_class(node, scope)
            case ast.Assign():
                values = evaluate(node.value, scope)
                for target in node.targets:
                    bind(target, values, scope)
            case ast.AnnAssign():
                self._annotated_assignment(node, scope)
            case ast.AugAssign():
                values = evaluate(node.value, scope)
                if isinstance(node.op, ast.BitOr):
                    bind(node.target, union(evaluate(node.target, scope), values), scope)
            case ast.Return(value=ast.expr() as value):
                self._expressions.returns(evaluate(value, scope), scope)
            case ast.If():
                evaluate(node.test, scope)
                self._branches(scope, node.body, node.orelse)
            case ast.For() | ast.AsyncFor():
                bind(node.target, members(evaluate(node.iter, scope)), scope)
                self._branches(scope, node.body, [])
                self._block(node.orelse, scope)
            case ast.While():
                evaluate(node.test, scope)
                self._branches(scope, node.body, [])
                self._block(node.orelse, scope)
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    values = evaluate(item.context_expr, scope)
                    if item.optional_vars is not None:
                        bind(item.optional_vars, values, scope)
                self._block(node.body, scope)
            case ast.Try() | ast.TryStar():
                self._branches(scope, node.body, *(handler.body for handler in node.handlers))
                self._block(node.orelse, scope)
                self._block(node.finalbody, scope)
            case ast.Match():
                evaluate(node.subject, scope)
                self._branches(scope, *(case.body for case in node.cases))
            case _:
                self._expressions.evaluate_children(node, scope)

    def _annotated_assignment(self, node: ast.AnnAssign, scope: Scope) -> None:
        values = self._expressions.annotated(node.annotation, scope)
        if node.value is not None:
            values = self._expressions.evaluate(node.value, scope) or values
        if scope.is_class and scope.class_key and isinstance(node.target, ast.Name):
            self._program.add_field(scope.class_key, node.target.id)
        self._expressions.bind(node.target, values, scope)

    def _branches(self, scope: Scope, *blocks: Sequence[ast.stmt]) -> None:
        """Evaluate each block from the same start; afterwards a name has the values of all of them."""
        start = dict(scope.names)
        ends = []
        for block in blocks:
            scope.names = dict(start)
            self._block(block, scope)
            ends.append(scope.names)
        if len(blocks) == 1:
            ends.append(start)
        scope.names = {}
        for end in ends:
            for name, values in end.items():
                scope.names[name] = union(scope.names.get(name, UNKNOWN), values)

    # -- imports

    def _import(self, node: ast.Import, scope: Scope) -> None:
        for alias in node.names:
            module = alias.name if alias.asname else alias.name.partition(".")[0]
            scope.names[alias.asname or module] = single(self._program.index.resolve(module))

    def _import_from(self, node: ast.ImportFrom, scope: Scope) -> None:
        base = absolute_name(scope.module, node)
        module = self._program.index.find(base)
        for alias in node.names:
            name = alias.asname or alias.name
            if alias.name == "*":
                names = self._program.names_of(module.name) if module is not None else None
                if names is not None:
                    scope.names |= names
                else:
                    scope.star_imports.append(base)
            elif module is not None:
                scope.names[name] = self._program.attribute(module, alias.name)
            else:
                scope.names[name] = single(ExternalName(f"{base}.{alias.name}"))

    # -- functions and classes

    def _define_function(self, node: FunctionNode, scope: Scope) -> None:
        qualified = scope.qualified(node.name)
        key = scope.key(qualified)
        for decorator in node.decorator_list:
            self._expressions.evaluate(decorator, scope)
        self._program.define_function(key, node)
        self._expressions.bind_name(node.name, single(Function(key)), scope)
        self._bodies.append(_Body(node, scope, qualified, scope.class_key if scope.is_class else None))

    def _define_class(self, node: ast.ClassDef, scope: Scope) -> None:
        qualified = scope.qualified(node.name)
        key = scope.key(qualified)
        self._program.define_class(key, [self._expressions.evaluate(base, scope) for base in node.bases])
        for decorator in node.decorator_list:
            self._expressions.evaluate(decorator, scope)
        self._expressions.bind_name(node.name, single(Class(key)), scope)
        body = Scope(scope.module, parent=scope, function=qualified, class_key=key, is_class=True)
        self._block(node.body, body)

    def _function_body(self, body: _Body) -> None:
        node = body.node
        scope = Scope(
            body.parent.module,
            parent=body.parent,
            function=body.qualified,
            class_key=body.class_key or body.parent.class_key,
            in_async=isinstance(node, ast.AsyncFunctionDef),
        )
        facts = self._program.function(scope.key(body.qualified))
        assert facts is not None
        self._bind_parameters(body, facts, scope)
        if node.returns is not None and not facts.returns:
            self._expressions.returns(self._expressions.annotated(node.returns, body.parent), scope)
        self._block(node.body, scope)

    def _bind_parameters(self, body: _Body, facts: FunctionFacts, scope: Scope) -> None:
        """A parameter has the values of its callers, annotation and default; `self` is the instance."""
        arguments = body.node.args
        positional = [*arguments.posonlyargs, *arguments.args]
        plain = len(positional) - len(arguments.defaults)
        defaults = [*[None] * plain, *arguments.defaults, *arguments.kw_defaults]
        owner = body.class_key if positional and not facts.is_static else None
        parameters = zip([*positional, *arguments.kwonlyargs], defaults, strict=True)
        for position, (parameter, default) in enumerate(parameters):
            values = facts.parameters.get(parameter.arg, UNKNOWN)
            if position == 0 and owner:
                values = single(Instance(owner))
            else:
                if parameter.annotation is not None:
                    values = union(values, self._expressions.annotated(parameter.annotation, body.parent))
                if default is not None:
                    values = union(values, self._expressions.evaluate(default, body.parent))
            scope.names[parameter.arg] = values
        for rest in (arguments.vararg, arguments.kwarg):
            if rest is not None:
                scope.names[rest.arg] = facts.parameters.get(rest.arg, UNKNOWN)

"""The values of expressions of the scanned code, and the targets and annotations that give names values."""

import ast
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from engine.migration import libraries
from engine.migration.call_effects import Call, CallEffects, is_langchain_model
from engine.migration.scopes import Program, Scope
from engine.migration.values import (
    UNKNOWN,
    Argument,
    Class,
    Constant,
    Container,
    ExternalName,
    ExternalObject,
    Instance,
    Keywords,
    Value,
    Values,
    items_at,
    members,
    override,
    single,
    union,
    union_of,
)

Comprehension: TypeAlias = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp


class Expressions:
    """Evaluates expressions in a scope; calls of a model inside them are recorded on the way."""

    def __init__(self, program: Program, effects: CallEffects) -> None:
        self._program = program
        self._effects = effects

    def evaluate(self, node: ast.expr, scope: Scope) -> Values:
        """The values of an expression."""
        match node:
            case ast.Name(id=name):
                return self._name(name, scope)
            case ast.Constant(value=value):
                return single(Constant(value)) if isinstance(value, str | int | float | None) else UNKNOWN
            case ast.Attribute(value=owner, attr=name):
                return self._attributes(self.evaluate(owner, scope), name)
            case ast.Call():
                return self._call(node, scope)
            case ast.Await(value=value) | ast.Starred(value=value):
                return self.evaluate(value, scope)
            case ast.Yield(value=ast.expr() as value) | ast.YieldFrom(value=value):
                self.returns(self.evaluate(value, scope), scope)
                return UNKNOWN
            case ast.NamedExpr(target=target, value=value):
                values = self.evaluate(value, scope)
                self.bind(target, values, scope)
                return values
            case ast.IfExp():
                self.evaluate(node.test, scope)
                return union(self.evaluate(node.body, scope), self.evaluate(node.orelse, scope))
            case ast.BoolOp():
                return union_of(self.evaluate(value, scope) for value in node.values)
            case ast.BinOp():
                return self._operation(node, scope)
            case ast.Dict():
                return self._dict(node, scope)
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                items = enumerate(self._arguments(elements, scope))
                return single(Container(tuple((str(position), item) for position, item in items)))
            case ast.Subscript():
                return self._subscript(node, scope)
            case ast.Lambda():
                self._lambda(node, scope)
                return UNKNOWN
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                self._comprehension(node, scope)
                return UNKNOWN
            case _:
                self.evaluate_children(node, scope)
                return UNKNOWN

    def evaluate_children(self, node: ast.AST, scope: Scope) -> None:
        """Evaluate the expressions directly below, for the calls in them."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.evaluate(child, scope)

    def annotated(self, node: ast.expr, scope: Scope) -> Values:
        """The values that a name with this annotation may have."""
        match node:
            case ast.Constant(value=str() as text):
                try:
                    return self.annotated(ast.parse(text, mode="eval").body, scope)
                except (SyntaxError, ValueError, RecursionError, MemoryError):
                    return UNKNOWN
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return union(self.annotated(left, scope), self.annotated(right, scope))
            case ast.Subscript(value=outer, slice=inner):
                if ast.unparse(outer).rpartition(".")[2] not in libraries.TRANSPARENT_TYPES:
                    return UNKNOWN
                elements = inner.elts if isinstance(inner, ast.Tuple) else [inner]
                return union_of(self.annotated(element, scope) for element in elements)
            case ast.Name() | ast.Attribute():
                return union_of(_instance_of(value) for value in self.evaluate(node, scope))
            case _:
                return UNKNOWN

    def returns(self, values: Values, scope: Scope) -> None:
        """The function around the scope returns these values."""
        if not scope.is_class:
            self._program.add_return(scope.key(scope.function), values)

    # -- targets

    def bind(self, target: ast.expr, values: Values, scope: Scope) -> None:
        """Give the target of an assignment these values."""
        match target:
            case ast.Name(id=name):
                self.bind_name(name, values, scope)
            case ast.Attribute(value=value, attr=name):
                for owner in self.evaluate(value, scope):
                    if isinstance(owner, Instance | Class):
                        self._program.set_attribute(owner.key, name, values)
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                for position, element in enumerate(elements):
                    self.bind(element, items_at(values, str(position)), scope)
            case ast.Starred(value=value):
                self.bind(value, UNKNOWN, scope)
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str() as key)):
                item = ((key, Argument(target, scope.module.file, values)),)
                scope.names[name] = frozenset(
                    Container(override(value.items, item)) if isinstance(value, Container) else value
                    for value in scope.find(name) or UNKNOWN
                )
            case _:
                self.evaluate(target, scope)

    def bind_name(self, name: str, values: Values, scope: Scope) -> None:
        """Give a name of the scope these values; in a class body it is an attribute too."""
        scope.names[name] = values
        if scope.is_class and scope.class_key:
            self._program.set_attribute(scope.class_key, name, values)

    # -- names, containers, operators

    def _name(self, name: str, scope: Scope) -> Values:
        values = scope.find(name)
        if values is not None:
            return values
        for module in scope.root().star_imports:
            path = f"{module}.{name}"
            if libraries.creates_client(path) or libraries.function_call(path):
                return single(ExternalName(path))
        return single(ExternalName("builtins.dict")) if name == "dict" else UNKNOWN

    def _attributes(self, owners: Values, name: str) -> Values:
        return union_of(self._program.attribute(owner, name) for owner in owners)

    def _operation(self, node: ast.BinOp, scope: Scope) -> Values:
        operands = self.evaluate(node.left, scope) | self.evaluate(node.right, scope)
        if not isinstance(node.op, ast.BitOr):
            return UNKNOWN
        containers = [value for value in operands if isinstance(value, Container)]
        if len(containers) == 2:
            return single(Container(override(containers[0].items, containers[1].items)))
        # A LangChain pipe calls the model in it.
        return frozenset(filter(is_langchain_model, operands)) or frozenset(containers)

    def _dict(self, node: ast.Dict, scope: Scope) -> Values:
        items: dict[str, Argument] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            argument = self._argument(value, scope)
            if key is None:
                for container in _containers(argument.values):
                    items |= dict(container.items)
            elif isinstance(key, ast.Constant) and isinstance(key.value, str | int):
                items[str(key.value)] = argument
            else:
                self.evaluate(key, scope)
                items[f"?{ast.unparse(key)}"] = argument
        return single(Container(tuple(items.items())))

    def _subscript(self, node: ast.Subscript, scope: Scope) -> Values:
        self.evaluate(node.slice, scope)
        owners = self.evaluate(node.value, scope)
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str | int):
            return items_at(owners, str(node.slice.value))
        return members(owners)

    def _lambda(self, node: ast.Lambda, scope: Scope) -> None:
        inner = Scope(scope.module, parent=scope, function=scope.function, class_key=scope.class_key)
        parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        inner.names = {parameter.arg: UNKNOWN for parameter in parameters}
        self.evaluate(node.body, inner)

    def _comprehension(self, node: Comprehension, scope: Scope) -> None:
        inner = Scope(
            scope.module,
            parent=scope,
            function=scope.function,
            class_key=scope.class_key,
            in_async=scope.in_async,
        )
        for generator in node.generators:
            self.bind(generator.target, members(self.evaluate(generator.iter, inner)), inner)
            for test in generator.ifs:
                self.evaluate(test, inner)
        for part in [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]:
            self.evaluate(part, inner)

    # -- calls

    def _call(self, node: ast.Call, scope: Scope) -> Values:
        match node:
            case ast.Call(func=ast.Name(id="getattr"), args=[owner, ast.Constant(value=str() as name), *_]):
                return self._attributes(self.evaluate(owner, scope), name)
            case ast.Call(
                func=ast.Attribute(
                    value=owner, attr="get" | "values" | "items" | "pop" | "setdefault" as name
                )
            ):
                containers = _containers(self.evaluate(owner, scope))
                if containers:
                    return self._dict_method(frozenset(containers), name, node, scope)
        callees = self.evaluate(node.func, scope)
        positional = self._arguments(node.args, scope)
        call = Call(node, scope, positional, self._keywords(node, scope))
        results = [self._apply(callee, call) for callee in callees]
        known = [values for values in results if values is not None]
        if not known:
            self._effects.apply_unknown(callees, call)
        return union_of(known)

    def _apply(self, callee: Value, call: Call) -> Values | None:
        if (
            isinstance(callee, ExternalName)
            and libraries.canonical(callee.path) in libraries.CASTS
            and len(call.positional) == 2
        ):
            return call.positional[1].values or self.annotated(call.node.args[0], call.scope)
        return self._effects.apply(callee, call)

    def _dict_method(self, containers: Values, method: str, node: ast.Call, scope: Scope) -> Values:
        """What a method of a dict returns: one value, all of them, or pairs to loop over."""
        arguments = self._arguments(node.args, scope)
        match method:
            case "values":
                return containers
            case "items":
                return frozenset(
                    Container(((name, replace(argument, values=_pair(argument))),))
                    for container in _containers(containers)
                    for name, argument in container.items
                )
        key = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
        found = items_at(containers, key) if isinstance(key, str) else members(containers)
        return union(found, arguments[1].values if len(arguments) > 1 else UNKNOWN)

    def _keywords(self, node: ast.Call, scope: Scope) -> Keywords:
        keywords: dict[str, Argument] = {}
        for keyword in node.keywords:
            argument = self._argument(keyword.value, scope)
            if keyword.arg is not None:
                keywords[keyword.arg] = argument
                continue
            containers = _containers(argument.values)
            for container in containers:
                keywords = {**dict(container.items), **keywords}
            if not containers:
                keywords["**"] = argument
        return tuple(keywords.items())

    def _arguments(self, nodes: Sequence[ast.expr], scope: Scope) -> tuple[Argument, ...]:
        return tuple(self._argument(node, scope) for node in nodes)

    def _argument(self, node: ast.expr, scope: Scope) -> Argument:
        return Argument(node, scope.module.file, self.evaluate(node, scope))


def _containers(values: Values) -> list[Container]:
    return [value for value in values if isinstance(value, Container)]


def _pair(argument: Argument) -> Values:
    """A pair of an unknown key and this value."""
    return single(Container((("1", argument),)))


def _instance_of(value: Value) -> Values:
    match value:
        case Class(key):
            return single(Instance(key))
        case ExternalName(path) if libraries.creates_client(path):
            return single(ExternalObject(libraries.canonical(path), (), (), None))
        case _:
            return UNKNOWN

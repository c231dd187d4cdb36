"""Scopes, classes and functions of the scanned code, and what their names, attributes and parameters may be.

`Program` only ever learns more: a set of values grows or stays. `changed` is true when something grew, so
that the call finder knows when another round can bring nothing new.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from engine.migration.libraries import CLIENT_VIEWS, PROPERTIES, canonical, creates_client
from engine.migration.module_index import ModuleIndex
from engine.migration.python_files import Module
from engine.migration.values import (
    UNKNOWN,
    Argument,
    Class,
    Constant,
    Container,
    ExternalName,
    ExternalObject,
    Function,
    Instance,
    Keywords,
    Partial,
    ScannedModule,
    Value,
    Values,
    single,
    union,
    union_of,
)

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(slots=True, eq=False)
class Scope:
    """The names of a module, a class body, a function, a lambda or a comprehension."""

    module: Module
    names: dict[str, Values] = field(default_factory=dict)
    parent: "Scope | None" = None
    function: str = ""
    """Qualified name of the innermost function or class, for reports and for `return`."""
    class_key: str | None = None
    is_class: bool = False
    in_async: bool = False
    star_imports: list[str] = field(default_factory=list)
    """External modules that this module imports `*` from."""

    def find(self, name: str) -> Values | None:
        """The values of a name here or in an enclosing scope; None where nothing binds it."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names and not (scope.is_class and scope is not self):
                return scope.names[name]
            scope = scope.parent
        return None

    def root(self) -> "Scope":
        """The scope of the module."""
        return self if self.parent is None else self.parent.root()

    def qualified(self, name: str) -> str:
        """The qualified name of something defined here."""
        return f"{self.function}.{name}" if self.function else name

    def key(self, qualified: str) -> str:
        """The name under which `Program` keeps a class or function of this file."""
        return f"{self.module.file}:{qualified}"


@dataclass(slots=True, eq=False)
class ClassFacts:
    """The bases of a scanned class, the values of its attributes, and its annotated fields in order."""

    bases: list[Values] = field(default_factory=list)
    attributes: dict[str, Values] = field(default_factory=dict)
    fields: list[str] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class FunctionFacts:
    """A scanned function: the values its callers pass for each parameter, and those it returns."""

    node: FunctionNode
    is_property: bool
    is_static: bool
    parameters: dict[str, Values] = field(default_factory=dict)
    returns: Values = UNKNOWN


class Program:
    """What is known of all scanned modules so far."""

    def __init__(self, modules: Sequence[Module]) -> None:
        self.index = ModuleIndex(modules)
        self.changed = False
        self._modules: dict[str, Scope] = {}
        self._classes: dict[str, ClassFacts] = {}
        self._subclasses: dict[str, set[str]] = {}
        self._functions: dict[str, FunctionFacts] = {}

    # -- modules

    def set_module(self, scope: Scope) -> None:
        """Keep the names of a module for those that import it."""
        before = self._modules.get(scope.module.name)
        if before is None or before.names != scope.names:
            self.changed = True
        self._modules[scope.module.name] = scope

    def names_of(self, module: str) -> dict[str, Values] | None:
        """The names of a scanned module, once it was evaluated."""
        scope = self._modules.get(module)
        return None if scope is None else scope.names

    # -- functions

    def define_function(self, key: str, node: FunctionNode) -> None:
        """Remember a function; another definition of the same name replaces it."""
        if key not in self._functions or self._functions[key].node is not node:
            decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
            self._functions[key] = FunctionFacts(
                node, bool(decorators & PROPERTIES), "staticmethod" in decorators
            )

    def function(self, key: str) -> FunctionFacts | None:
        """The function of that key."""
        return self._functions.get(key)

    def add_return(self, key: str, values: Values) -> None:
        """The function of that key, if it is one, may return these values."""
        facts = self._functions.get(key)
        if facts is not None:
            returns = union(facts.returns, values)
            if returns != facts.returns:
                facts.returns, self.changed = returns, True

    def call_function(
        self, callee: Function, positional: Sequence[Argument], keywords: Keywords
    ) -> Values | None:
        """What the function returns when called with these arguments; None for an unknown function."""
        facts = self._functions.get(callee.key)
        if facts is None:
            return None
        self._pass_arguments(facts, callee.owner is not None, positional, keywords)
        return facts.returns

    def _pass_arguments(
        self, facts: FunctionFacts, is_bound: bool, positional: Sequence[Argument], keywords: Keywords
    ) -> None:
        arguments = facts.node.args
        names = [argument.arg for argument in [*arguments.posonlyargs, *arguments.args]][is_bound:]
        known = {*names, *(argument.arg for argument in arguments.kwonlyargs)}
        pairs = [*zip(names, positional, strict=False), *(item for item in keywords if item[0] in known)]
        passed = [(name, argument.values) for name, argument in pairs]
        if arguments.kwarg is not None:
            rest = tuple(item for item in keywords if item[0] not in known and item[0] != "**")
            unpacked = dict(keywords).get("**")
            if rest:
                passed.append((arguments.kwarg.arg, single(Container(rest))))
            elif unpacked is not None:
                passed.append((arguments.kwarg.arg, unpacked.values))
        for name, values in passed:
            before = facts.parameters.get(name, UNKNOWN)
            after = union(before, values)
            if after != before:
                facts.parameters[name], self.changed = after, True

    # -- classes

    def define_class(self, key: str, bases: list[Values]) -> None:
        """Remember a class and what it inherits from."""
        self._class(key).bases = bases
        for base in union_of(bases):
            if isinstance(base, Class):
                self._subclasses.setdefault(base.key, set()).add(key)

    def add_field(self, key: str, name: str) -> None:
        """The class body annotates this name: a parameter of a dataclass or model."""
        fields = self._class(key).fields
        if name not in fields:
            fields.append(name)

    def set_attribute(self, key: str, name: str, values: Values) -> None:
        """The attribute of the class or its instances may have these values."""
        attributes = self._class(key).attributes
        after = union(attributes.get(name, UNKNOWN), values)
        if after != attributes.get(name):
            attributes[name], self.changed = after, True

    def instantiate(self, key: str, positional: Sequence[Argument], keywords: Keywords) -> Values:
        """An instance of the class, made with these arguments."""
        for method in self.class_attribute(key, "__init__", instance=key):
            if isinstance(method, Function) and method.key in self._functions:
                self._pass_arguments(self._functions[method.key], True, positional, keywords)
                return single(Instance(key))
        facts = self._classes.get(key)
        if facts is not None:
            for name, argument in [*zip(facts.fields, positional, strict=False), *keywords]:
                if name in facts.fields and argument.values:
                    self.set_attribute(key, name, argument.values)
        return single(Instance(key))

    def _class(self, key: str) -> ClassFacts:
        return self._classes.setdefault(key, ClassFacts())

    # -- attributes

    def attribute(self, owner: Value, name: str) -> Values:
        """The values of `owner.name`."""
        match owner:
            case ExternalName(path):
                return single(ExternalName(f"{path}.{name}"))
            case ExternalObject(path, attributes, keywords, created_at):
                if name in CLIENT_VIEWS:
                    return single(owner)
                return single(ExternalObject(path, (*attributes, name), keywords, created_at))
            case ScannedModule(module):
                names = self.names_of(module)
                if names is not None and name in names:
                    return names[name]
                inner = f"{module}.{name}"
                return single(ScannedModule(inner)) if inner in self.index else UNKNOWN
            case Class(key):
                return self.class_attribute(key, name, instance=None)
            case Instance(key):
                return self.class_attribute(key, name, instance=key)
            case Function() | Partial() | Container() | Constant():
                return UNKNOWN

    def class_attribute(self, key: str, name: str, instance: str | None) -> Values:
        """The values of an attribute of a class, or of an instance of the class that `instance` names."""
        return self._class_attribute(key, name, instance, set())

    def _class_attribute(self, key: str, name: str, instance: str | None, visited: set[str]) -> Values:
        facts = self._classes.get(key)
        if facts is None or key in visited:
            return UNKNOWN
        visited.add(key)
        if name in facts.attributes:
            # An override in a subclass counts too: `self.make()` of a template method.
            overrides = (
                value
                for subclass in sorted(self._subclasses.get(key, ()))
                for value in self._classes[subclass].attributes.get(name, UNKNOWN)
                if instance == key and isinstance(value, Function)
            )
            return union_of(self._bound(value, instance) for value in (*facts.attributes[name], *overrides))
        return union_of(
            self._inherited(base, name, instance, visited) for bases in facts.bases for base in bases
        )

    def _inherited(self, base: Value, name: str, instance: str | None, visited: set[str]) -> Values:
        match base:
            case Class(key):
                return self._class_attribute(key, name, instance, visited)
            case ExternalName(path) if instance and creates_client(path):
                return single(ExternalObject(canonical(path), (name,), (), None))
            case _:
                return UNKNOWN

    def _bound(self, value: Value, instance: str | None) -> Values:
        """A value found on a class, as an instance returns it: a property's value, a bound method."""
        if isinstance(value, Function) and instance is not None:
            facts = self._functions.get(value.key)
            if facts is not None and facts.is_property:
                return facts.returns
            return single(Function(value.key, None if facts is not None and facts.is_static else instance))
        return single(value)

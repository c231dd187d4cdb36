"""Parsed modules -> every call that asks a model through one of the four libraries, traced by meaning, not by spelling.

A small abstract interpreter: each expression stands for a set of `values`, statements are gone through in order, both arms
of a branch count. Functions are gone through after what surrounds them; what they are called with and what they return
is remembered, and all modules are gone through again until nothing new comes (at most `MOST_ROUNDS` times).
Nothing is imported or executed. Where a receiver cannot be traced, a call is known by its shape alone, and says so.
"""

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from engine.migration import known_calls
from engine.migration.known_calls import Asked
from engine.migration.python_files import Module, Note
from engine.migration.values import (
    NOTHING,
    Argument,
    Class,
    Constant,
    Function,
    Home,
    Instance,
    Keywords,
    Made,
    Outside,
    Partial,
    Table,
    Value,
    Values,
    merged,
    one,
    with_keywords,
)

MOST_ROUNDS = 6
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
PROPERTIES = frozenset({"property", "cached_property", "functools.cached_property"})
# Builtins and modules that are handed a function and do not call it.
ONLY_LOOK = frozenset(
    {
        "callable",
        "functools",
        "getattr",
        "hasattr",
        "id",
        "inspect",
        "isinstance",
        "mock",
        "print",
        "repr",
        "setattr",
        "type",
        "wraps",
    }
)
SPEAKS_OF_ONE = re.compile(
    r"anthropic|openai|langchain|langgraph|litellm|messages\.create|messages\.stream|completions\.|responses\.create"
)
INSTANCES_PASS = frozenset({"typing.cast", "typing_extensions.cast"})
UNWRAPPED_ANNOTATIONS = frozenset(
    {"Optional", "Union", "Annotated", "Final", "ClassVar", "Type", "Awaitable"}
)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A call that asks a model. `keywords` are those of the call over those its client or partial already had."""

    module: Module
    node: ast.Call
    asked: Asked
    keywords: Keywords
    traced: bool
    """False where only its shape speaks for it."""
    function: str
    """The qualified name of the function it stands in; empty at module level."""
    in_async: bool
    client: Made | None


@dataclass(slots=True, eq=False)
class _Scope:
    """The names of a module, a class body or a function."""

    names: dict[str, Values] = field(default_factory=dict)
    parent: "_Scope | None" = None
    function: str = ""
    """Qualified name of the innermost function, for reports and for `return`."""
    class_key: str | None = None
    is_class: bool = False
    in_async: bool = False
    stars: list[str] = field(default_factory=list)

    def lookup(self, name: str) -> Values:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.names and not (scope.is_class and scope is not self):
                return scope.names[name]
            scope = scope.parent
        return NOTHING


@dataclass(slots=True, eq=False)
class _ClassFacts:
    """What is known of a scanned class: its bases, and what its attributes may be."""

    bases: list[Values] = field(default_factory=list)
    attributes: dict[str, Values] = field(default_factory=dict)
    fields: list[str] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _FunctionFacts:
    """What is known of a scanned function, from its text and from its callers."""

    node: FunctionNode
    is_property: bool
    is_static: bool
    given: dict[str, Values] = field(default_factory=dict)
    returned: Values = NOTHING


def find_calls(modules: Sequence[Module]) -> tuple[list[Found], list[Note]]:
    """Every call in file and line order, and notes on what the router does not do."""
    finder = _Finder(_concerned(modules))
    finder.run()
    found = sorted(
        finder.found.values(), key=lambda call: (call.module.file, call.node.lineno, call.node.col_offset)
    )
    return found, sorted(set(finder.notes), key=lambda note: (note.file, note.line, note.text))


def _concerned(modules: Sequence[Module]) -> list[Module]:
    """The modules that name a library or a call's shape, those that name one of them, and what these name, by turns."""
    names_of = {
        module.file: {
            part
            for node in module.imports
            for path in (
                [
                    *(alias.name for alias in node.names),
                    (node.module or "") if isinstance(node, ast.ImportFrom) else "",
                ]
            )
            if (part := path.rpartition(".")[2])
        }
        for module in modules
    }
    last_name = {module.file: module.name.rpartition(".")[2] for module in modules}
    concerned = {module.file for module in modules if SPEAKS_OF_ONE.search(module.text)}
    while True:
        known = {last_name[file] for file in concerned}
        named = {name for file in concerned for name in names_of[file]}
        more = {file for file in last_name if last_name[file] in named or names_of[file] & known}
        if more <= concerned:
            return [module for module in modules if module.file in concerned]
        concerned |= more


class _Finder:
    def __init__(self, modules: Sequence[Module]) -> None:
        self.modules = list(modules)
        self.by_name = {module.name: module for module in modules}
        self.packages = {
            ".".join(module.name.split(".")[:length])
            for module in modules
            for length in range(1, module.name.count(".") + 1 + module.is_package)
        }
        self.by_ending: dict[str, list[str]] = {}
        for module in modules:
            parts = module.name.split(".")
            for begin in range(1, len(parts)):
                self.by_ending.setdefault(".".join(parts[begin:]), []).append(module.name)
        self.scopes: dict[str, _Scope] = {}
        self.classes: dict[str, _ClassFacts] = {}
        self.subclasses: dict[str, set[str]] = {}
        self.functions: dict[str, _FunctionFacts] = {}
        self.found: dict[tuple[str, int, int], Found] = {}
        self.notes: list[Note] = []
        self.changed = False
        self.too_deep: set[str] = set()
        self._module: Module = self.modules[0] if self.modules else _NO_MODULE
        self._later: list[tuple[FunctionNode, _Scope, str, str | None]] = []

    def run(self) -> None:
        for _ in range(MOST_ROUNDS):
            self.changed = False
            self.found.clear()
            self.notes.clear()
            for module in self.modules:
                if module.file not in self.too_deep:
                    self._go_through(module)
            if not self.changed:
                break
        self.notes += [
            Note(file, 0, "nested too deeply to be looked through") for file in sorted(self.too_deep)
        ]

    def _go_through(self, module: Module) -> None:
        self._module = module
        scope = _Scope()
        self._later = []
        try:
            self._block(module.tree.body, scope)
            while self._later:
                later, self._later = self._later, []
                for node, parent, qualified, class_key in later:
                    self._function_body(node, parent, qualified, class_key)
        except RecursionError:
            self.too_deep.add(module.file)
            self.found = {key: call for key, call in self.found.items() if key[0] != module.file}
        before = self.scopes.get(module.name)
        if before is None or before.names != scope.names:
            self.changed = True
        self.scopes[module.name] = scope

    # -- statements

    def _block(self, statements: Iterable[ast.stmt], scope: _Scope) -> None:
        for statement in statements:
            self._statement(statement, scope)

    def _statement(self, node: ast.stmt, scope: _Scope) -> None:
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
                values = self._value(node.value, scope)
                for target in node.targets:
                    self._bind(target, values, scope)
            case ast.AnnAssign():
                values = self._annotated(node.annotation, scope)
                if node.value is not None:
                    values = self._value(node.value, scope) or values
                if scope.is_class and scope.class_key and isinstance(node.target, ast.Name):
                    facts = self.classes[scope.class_key]
                    if node.target.id not in facts.fields:
                        facts.fields.append(node.target.id)
                self._bind(node.target, values, scope)
            case ast.AugAssign():
                values = self._value(node.value, scope)
                if isinstance(node.op, ast.BitOr):
                    self._bind(node.target, merged(self._value(node.target, scope), values), scope)
            case ast.Return(value=ast.expr() as value):
                self._returns(self._value(value, scope), scope)
            case ast.If():
                self._value(node.test, scope)
                self._branches(scope, node.body, node.orelse)
            case ast.For() | ast.AsyncFor():
                self._bind(node.target, self._members(self._value(node.iter, scope)), scope)
                self._branches(scope, node.body, [])
                self._block(node.orelse, scope)
            case ast.While():
                self._value(node.test, scope)
                self._branches(scope, node.body, [])
                self._block(node.orelse, scope)
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    values = self._value(item.context_expr, scope)
                    if item.optional_vars is not None:
                        self._bind(item.optional_vars, values, scope)
                self._block(node.body, scope)
            case ast.Try() | ast.TryStar():
                self._branches(scope, node.body, *(handler.body for handler in node.handlers))
                self._block(node.orelse, scope)
                self._block(node.finalbody, scope)
            case ast.Match():
                self._value(node.subject, scope)
                self._branches(scope, *(case.body for case in node.cases))
            case _:
                for child in ast.iter_child_nodes(node):
                    if isinstance(child, ast.expr):
                        self._value(child, scope)

    def _branches(self, scope: _Scope, *blocks: Sequence[ast.stmt]) -> None:
        """Each block from the same start; afterwards a name may be what any of them made it."""
        start = dict(scope.names)
        ends = []
        for block in blocks:
            scope.names = dict(start)
            self._block(block, scope)
            ends.append(scope.names)
        if len(blocks) == 1:
            ends.append(start)
        together: dict[str, Values] = {}
        for end in ends:
            for name, values in end.items():
                together[name] = merged(together.get(name, NOTHING), values)
        scope.names = together

    def _import(self, node: ast.Import, scope: _Scope) -> None:
        for alias in node.names:
            if alias.asname:
                scope.names[alias.asname] = self._imported(alias.name)
            else:
                top = alias.name.partition(".")[0]
                scope.names[top] = self._imported(top)

    def _import_from(self, node: ast.ImportFrom, scope: _Scope) -> None:
        base = node.module or ""
        if node.level:
            parts = self._module.name.split(".") if self._module.name else []
            keep = len(parts) - node.level + (1 if self._module.is_package else 0)
            base = ".".join([*parts[: max(0, keep)], *([base] if base else [])])
        for alias in node.names:
            if alias.name == "*":
                home = self._home(base)
                if home is not None and home.name in self.scopes:
                    scope.names |= self.scopes[home.name].names
                else:
                    scope.stars.append(base)
                continue
            name = alias.asname or alias.name
            home = self._home(base)
            if home is not None:
                scope.names[name] = self._attribute(home, alias.name)
            else:
                scope.names[name] = one(Outside(f"{base}.{alias.name}"))

    def _imported(self, name: str) -> Values:
        home = self._home(name)
        return one(home) if home is not None else one(Outside(name))

    def _home(self, name: str) -> Home | None:
        """The scanned module or package of that name, also when the scan began above or below the import root."""
        if name in self.by_name or name in self.packages:
            return Home(name)
        if known_calls.library_of(name) is not None:
            return None
        ends = self.by_ending.get(name, [])
        if len(ends) == 1:
            return Home(ends[0])
        first, _, rest = name.partition(".")
        if rest and first not in self.packages and (rest in self.by_name):
            return Home(rest)
        return None

    def _define_function(self, node: FunctionNode, scope: _Scope) -> None:
        qualified = f"{scope.function}.{node.name}" if scope.function else node.name
        key = f"{self._module.file}:{qualified}"
        decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
        for decorator in node.decorator_list:
            self._value(decorator, scope)
        if key not in self.functions or self.functions[key].node is not node:
            self.functions[key] = _FunctionFacts(
                node,
                any(name in PROPERTIES for name in decorators),
                "staticmethod" in decorators,
            )
        self._bind_name(node.name, one(Function(key)), scope)
        self._later.append((node, scope, qualified, scope.class_key if scope.is_class else None))

    def _define_class(self, node: ast.ClassDef, scope: _Scope) -> None:
        qualified = f"{scope.function}.{node.name}" if scope.function else node.name
        key = f"{self._module.file}:{qualified}"
        facts = self.classes.setdefault(key, _ClassFacts())
        facts.bases = [self._value(base, scope) for base in node.bases]
        for base in _together(facts.bases):
            if isinstance(base, Class):
                self.subclasses.setdefault(base.key, set()).add(key)
        for decorator in node.decorator_list:
            self._value(decorator, scope)
        self._bind_name(node.name, one(Class(key)), scope)
        body = _Scope(parent=scope, function=qualified, class_key=key, is_class=True)
        self._block(node.body, body)

    def _function_body(
        self, node: FunctionNode, parent: _Scope, qualified: str, class_key: str | None
    ) -> None:
        key = f"{self._module.file}:{qualified}"
        facts = self.functions[key]
        scope = _Scope(
            parent=parent,
            function=qualified,
            class_key=class_key or parent.class_key,
            in_async=isinstance(node, ast.AsyncFunctionDef),
        )
        arguments = node.args
        positional = [*arguments.posonlyargs, *arguments.args]
        defaults: dict[str, ast.expr] = dict(
            zip(
                [name.arg for name in positional[len(positional) - len(arguments.defaults) :]],
                arguments.defaults,
                strict=True,
            )
        )
        defaults |= {
            name.arg: default
            for name, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            if default is not None
        }
        for place, argument in enumerate([*positional, *arguments.kwonlyargs]):
            values = facts.given.get(argument.arg, NOTHING)
            if place == 0 and class_key and not facts.is_static and positional:
                values = one(Instance(class_key))
            else:
                if argument.annotation is not None:
                    values = merged(values, self._annotated(argument.annotation, parent))
                if argument.arg in defaults:
                    values = merged(values, self._value(defaults[argument.arg], parent))
            scope.names[argument.arg] = values
        for rest in (arguments.vararg, arguments.kwarg):
            if rest is not None:
                scope.names[rest.arg] = facts.given.get(rest.arg, NOTHING)
        if node.returns is not None and not facts.returned:
            self._returns(self._annotated(node.returns, parent), scope)
        self._block(node.body, scope)

    def _returns(self, values: Values, scope: _Scope) -> None:
        facts = self.functions.get(f"{self._module.file}:{scope.function}")
        if facts is not None and not scope.is_class:
            together = merged(facts.returned, values)
            if together != facts.returned:
                facts.returned, self.changed = together, True

    def _bind(self, target: ast.expr, values: Values, scope: _Scope) -> None:
        match target:
            case ast.Name(id=name):
                self._bind_name(name, values, scope)
            case ast.Attribute(value=value, attr=name):
                for owner in self._value(value, scope):
                    if isinstance(owner, Instance | Class):
                        self._bind_attribute(owner.key, name, values)
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                for place, element in enumerate(elements):
                    self._bind(element, self._item(values, str(place)), scope)
            case ast.Starred(value=value):
                self._bind(value, NOTHING, scope)
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str() as key)):
                argument = Argument(target, self._module.file, values)
                scope.names[name] = frozenset(
                    Table(tuple(({**dict(value.items), key: argument}).items()))
                    if isinstance(value, Table)
                    else value
                    for value in scope.lookup(name)
                )
            case _:
                self._value(target, scope)

    def _bind_name(self, name: str, values: Values, scope: _Scope) -> None:
        scope.names[name] = values
        if scope.is_class and scope.class_key:
            self._bind_attribute(scope.class_key, name, values)

    def _bind_attribute(self, class_key: str, name: str, values: Values) -> None:
        attributes = self.classes.setdefault(class_key, _ClassFacts()).attributes
        together = merged(attributes.get(name, NOTHING), values)
        if together != attributes.get(name):
            attributes[name], self.changed = together, True

    # -- expressions

    def _value(self, node: ast.expr, scope: _Scope) -> Values:
        match node:
            case ast.Name(id=name):
                return self._name(name, scope)
            case ast.Constant(value=value):
                return one(Constant(value)) if isinstance(value, str | int | float | None) else NOTHING
            case ast.Attribute(value=value, attr=name):
                return _together(self._attribute(owner, name) for owner in self._value(value, scope))
            case ast.Call():
                return self._call(node, scope)
            case ast.Await(value=value) | ast.Starred(value=value):
                return self._value(value, scope)
            case ast.Yield(value=ast.expr() as value) | ast.YieldFrom(value=value):
                self._returns(self._value(value, scope), scope)
                return NOTHING
            case ast.NamedExpr(target=target, value=value):
                values = self._value(value, scope)
                self._bind(target, values, scope)
                return values
            case ast.IfExp():
                self._value(node.test, scope)
                return merged(self._value(node.body, scope), self._value(node.orelse, scope))
            case ast.BoolOp():
                return _together(self._value(value, scope) for value in node.values)
            case ast.BinOp():
                return self._operation(node, scope)
            case ast.Dict():
                return self._table(node, scope)
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                items = [
                    (str(place), self._argument(element, scope)) for place, element in enumerate(elements)
                ]
                return one(Table(tuple(items)))
            case ast.Subscript():
                self._value(node.slice, scope)
                owners = self._value(node.value, scope)
                if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str | int):
                    return self._item(owners, str(node.slice.value))
                return self._members(owners)
            case ast.Lambda():
                inner = _Scope(parent=scope, function=scope.function, class_key=scope.class_key)
                inner.names = {
                    name.arg: NOTHING
                    for name in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                }
                self._value(node.body, inner)
                return NOTHING
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                return self._comprehension(node, scope)
            case _:
                for child in ast.iter_child_nodes(node):
                    if isinstance(child, ast.expr):
                        self._value(child, scope)
                return NOTHING

    def _name(self, name: str, scope: _Scope) -> Values:
        outer: _Scope | None = scope
        while outer is not None:
            if name in outer.names and not (outer.is_class and outer is not scope):
                return outer.names[name]
            if outer.parent is None:
                for star in outer.stars:
                    if known_calls.makes_a_client(f"{star}.{name}") or known_calls.asked_by_name(
                        f"{star}.{name}"
                    ):
                        return one(Outside(f"{star}.{name}"))
            outer = outer.parent
        return one(Outside("builtins.dict")) if name == "dict" else NOTHING

    def _attribute(self, owner: Value, name: str) -> Values:
        match owner:
            case Outside(path):
                return one(Outside(f"{path}.{name}"))
            case Made(path, trail, keywords, born):
                if name in known_calls.TRANSPARENT:
                    return one(owner)
                return one(Made(path, (*trail, name), keywords, born))
            case Home(module):
                inner = f"{module}.{name}"
                scope = self.scopes.get(module)
                if scope is not None and name in scope.names:
                    return scope.names[name]
                return one(Home(inner)) if inner in self.by_name or inner in self.packages else NOTHING
            case Class(key):
                return self._class_attribute(key, name, None, set())
            case Instance(key):
                return self._class_attribute(key, name, key, set())
            case Function() | Partial() | Table() | Constant():
                return NOTHING

    def _class_attribute(self, key: str, name: str, instance: str | None, seen: set[str]) -> Values:
        facts = self.classes.get(key)
        if facts is None or key in seen:
            return NOTHING
        seen.add(key)
        if name in facts.attributes:
            # What a subclass puts in its place counts too: `self.make()` of a template method.
            overriding = (
                value
                for subclass in sorted(self.subclasses.get(key, ()))
                for value in self.classes[subclass].attributes.get(name, NOTHING)
                if instance == key and isinstance(value, Function)
            )
            return _together(self._taken(value, instance) for value in (*facts.attributes[name], *overriding))
        inherited = NOTHING
        for bases in facts.bases:
            for base in bases:
                if isinstance(base, Class):
                    inherited = merged(inherited, self._class_attribute(base.key, name, instance, seen))
                elif isinstance(base, Outside) and instance and known_calls.makes_a_client(base.path):
                    inherited = merged(
                        inherited, one(Made(known_calls.canonical(base.path), (name,), (), None))
                    )
        return inherited

    def _taken(self, value: Value, instance: str | None) -> Values:
        """A value found on a class, as an instance gives it."""
        if isinstance(value, Function) and instance is not None:
            facts = self.functions.get(value.key)
            if facts is not None and facts.is_property:
                return facts.returned
            return one(Function(value.key, None if facts is not None and facts.is_static else instance))
        return one(value)

    def _operation(self, node: ast.BinOp, scope: _Scope) -> Values:
        left, right = self._value(node.left, scope), self._value(node.right, scope)
        if not isinstance(node.op, ast.BitOr):
            return NOTHING
        tables = [value for value in left | right if isinstance(value, Table)]
        if len(tables) == 2:
            return one(Table(tuple(({**dict(tables[0].items), **dict(tables[1].items)}).items())))
        # LangChain's pipes: whatever a model is piped with, asking the pipe asks the model.
        return frozenset(value for value in left | right if _is_langchain_model(value)) or frozenset(tables)

    def _table(self, node: ast.Dict, scope: _Scope) -> Values:
        items: dict[str, Argument] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            argument = self._argument(value, scope)
            if key is None:
                for table in argument.values:
                    if isinstance(table, Table):
                        items |= dict(table.items)
            elif isinstance(key, ast.Constant) and isinstance(key.value, str | int):
                items[str(key.value)] = argument
            else:
                self._value(key, scope)
                items[f"?{ast.unparse(key)}"] = argument
        return one(Table(tuple(items.items())))

    def _item(self, owners: Values, key: str) -> Values:
        return _together(
            argument.values
            for owner in owners
            if isinstance(owner, Table)
            for name, argument in owner.items
            if name == key
        )

    def _members(self, owners: Values) -> Values:
        return _together(
            argument.values for owner in owners if isinstance(owner, Table) for _, argument in owner.items
        )

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, scope: _Scope
    ) -> Values:
        inner = _Scope(
            parent=scope, function=scope.function, class_key=scope.class_key, in_async=scope.in_async
        )
        for generator in node.generators:
            self._bind(generator.target, self._members(self._value(generator.iter, inner)), inner)
            for test in generator.ifs:
                self._value(test, inner)
        made = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        for part in made:
            self._value(part, inner)
        return NOTHING

    def _argument(self, node: ast.expr, scope: _Scope) -> Argument:
        return Argument(node, self._module.file, self._value(node, scope))

    def _annotated(self, node: ast.expr, scope: _Scope) -> Values:
        """What a name with this annotation may be."""
        match node:
            case ast.Constant(value=str() as text):
                try:
                    return self._annotated(ast.parse(text, mode="eval").body, scope)
                except (SyntaxError, ValueError, RecursionError, MemoryError):
                    return NOTHING
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return merged(self._annotated(left, scope), self._annotated(right, scope))
            case ast.Subscript(value=outer, slice=inner):
                if ast.unparse(outer).rpartition(".")[2] not in UNWRAPPED_ANNOTATIONS | {
                    "Iterator",
                    "AsyncIterator",
                    "Generator",
                    "AsyncGenerator",
                }:
                    return NOTHING
                elements = inner.elts if isinstance(inner, ast.Tuple) else [inner]
                return _together(self._annotated(element, scope) for element in elements)
            case ast.Name() | ast.Attribute():
                return _together(self._instance_of(value) for value in self._value(node, scope))
            case _:
                return NOTHING

    def _instance_of(self, value: Value) -> Values:
        if isinstance(value, Class):
            return one(Instance(value.key))
        if isinstance(value, Outside) and known_calls.makes_a_client(value.path):
            return one(Made(known_calls.canonical(value.path), (), (), None))
        return NOTHING

    # -- calls

    def _call(self, node: ast.Call, scope: _Scope) -> Values:
        match node:
            case ast.Call(func=ast.Name(id="getattr"), args=[owner, ast.Constant(value=str() as name), *_]):
                return _together(self._attribute(value, name) for value in self._value(owner, scope))
            case ast.Call(
                func=ast.Attribute(
                    value=owner, attr="get" | "values" | "items" | "pop" | "setdefault" as name
                )
            ):
                tables = frozenset(value for value in self._value(owner, scope) if isinstance(value, Table))
                if tables:
                    return self._taken_from(tables, name, node, scope)
        callees = self._value(node.func, scope)
        positional = [self._argument(argument, scope) for argument in node.args]
        keywords = self._keywords(node, scope)
        known = False
        results = NOTHING
        for callee in callees:
            result = self._apply(callee, node, positional, keywords, scope)
            if result is not None:
                known = True
                results = merged(results, result)
        if not known:
            self._by_shape(node, callees, keywords, scope)
            self._handed_on(node, positional, keywords, scope)
        return results

    def _taken_from(self, tables: Values, method: str, node: ast.Call, scope: _Scope) -> Values:
        """What a method of a dict gives: one value, all of them, or pairs to loop over."""
        given = [self._argument(argument, scope) for argument in node.args]
        match method:
            case "values":
                return tables
            case "items":
                return frozenset(
                    Table(((name, Argument(argument.node, argument.file, one(Table((("1", argument),))))),))
                    for table in tables
                    if isinstance(table, Table)
                    for name, argument in table.items
                )
        key = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
        found = self._item(tables, key) if isinstance(key, str) else self._members(tables)
        return merged(found, given[1].values if len(given) > 1 else NOTHING)

    def _keywords(self, node: ast.Call, scope: _Scope) -> Keywords:
        given: dict[str, Argument] = {}
        for keyword in node.keywords:
            argument = self._argument(keyword.value, scope)
            if keyword.arg is not None:
                given[keyword.arg] = argument
                continue
            tables = [value for value in argument.values if isinstance(value, Table)]
            for table in tables:
                given = {**dict(table.items), **given}
            if not tables:
                given["**"] = argument
        return tuple(given.items())

    def _apply(
        self, callee: Value, node: ast.Call, positional: list[Argument], keywords: Keywords, scope: _Scope
    ) -> Values | None:
        """What calling it gives; None when we do not know what was called."""
        match callee:
            case Outside(path):
                return self._apply_outside(path, node, positional, keywords, scope)
            case Made():
                return self._apply_made(callee, node, positional, keywords, scope)
            case Partial(inner, bound):
                return self._apply(inner, node, positional, with_keywords(bound, keywords), scope)
            case Function(key, owner):
                facts = self.functions.get(key)
                if facts is None:
                    return None
                self._flow(facts, owner is not None, positional, keywords)
                return facts.returned
            case Class(key):
                return self._construct(key, positional, keywords)
            case Instance(key):
                result = NOTHING
                for method in self._class_attribute(key, "__call__", key, set()):
                    result = merged(result, self._apply(method, node, positional, keywords, scope) or NOTHING)
                return result
            case Home() | Table() | Constant():
                return None

    def _apply_outside(
        self, path: str, node: ast.Call, positional: list[Argument], keywords: Keywords, scope: _Scope
    ) -> Values | None:
        path = known_calls.canonical(path)
        first = positional[0].values if positional else NOTHING
        if known_calls.makes_a_client(path):
            if positional and path.endswith("init_chat_model"):
                keywords = with_keywords((("model", positional[0]),), keywords)
            return one(Made(path, (), keywords, (self._module.file, node.lineno, node.col_offset)))
        asked = known_calls.asked_by_name(path)
        if asked is not None:
            if positional and asked.library == "litellm":
                keywords = with_keywords(
                    tuple(zip(("model", "messages"), positional, strict=False)), keywords
                )
            self._add(node, asked, keywords, True, scope, None)
            return NOTHING
        if path in known_calls.NOT_ROUTED_FUNCTIONS:
            self._not_routed(path.partition(".")[2], path.partition(".")[0], node)
            return NOTHING
        if path in ("functools.partial", "functools.partialmethod"):
            return frozenset(Partial(value, keywords) for value in first)
        if path in known_calls.CALLERS and positional:
            place = known_calls.CALLERS[path]
            result = NOTHING
            for callee in positional[place].values:
                result = merged(
                    result, self._apply(callee, node, positional[place + 1 :], keywords, scope) or NOTHING
                )
            return result
        if path in known_calls.WRAPPERS and positional:
            return first
        if path in INSTANCES_PASS and len(positional) == 2:
            return positional[1].values or self._annotated(node.args[0], scope)
        if path in ("os.getenv", "os.environ.get") and len(positional) == 2:
            # What the variable holds is not known; its default is the best guess.
            return frozenset(value for value in positional[1].values if isinstance(value, Constant))
        if path == "builtins.dict":
            return one(Table(tuple(item for item in keywords if item[0] != "**")))
        if path in ("fastapi.Depends", "fastapi.params.Depends", "dataclasses.field", "pydantic.Field"):
            makers = first or dict(keywords).get("default_factory", _NO_ARGUMENT).values
            result = dict(keywords).get("default", _NO_ARGUMENT).values
            for maker in makers:
                result = merged(result, self._apply(maker, node, [], (), scope) or NOTHING)
            return result
        if path in ("importlib.import_module", "__import__") and positional:
            return _together(
                self._imported(value.value)
                for value in first
                if isinstance(value, Constant) and isinstance(value.value, str)
            )
        if known_calls.library_of(path) == "langchain":
            # Chains and agents: asking them asks the model they were made with.
            carried = [
                value
                for argument in [*positional, *(argument for _, argument in keywords)]
                for value in [*argument.values, *self._members(argument.values)]
                if isinstance(value, Made) and _is_langchain_model(value)
            ]
            tools = tuple(item for item in keywords if item[0] == "tools")
            if not tools and "agent" in path.rpartition(".")[2].lower() and len(positional) > 1:
                tools = (("tools", positional[1]),)
            if carried:
                return frozenset(
                    Made(value.path, (), with_keywords(value.keywords, tools), value.born)
                    for value in carried
                )
        last = path.rpartition(".")[2]
        if last[:1].isupper() or path.partition(".")[0] in known_calls.NOT_CLIENTS:
            return one(Made(path, (), (), None))
        return None

    def _apply_made(
        self, callee: Made, node: ast.Call, positional: list[Argument], keywords: Keywords, scope: _Scope
    ) -> Values | None:
        library = known_calls.library_of(callee.path)
        if library is None:
            return None
        asked = known_calls.asked_by_client(callee.path, callee.trail)
        if asked is not None:
            if library == "langchain":
                keywords = with_keywords(callee.keywords, keywords)
                if positional:
                    keywords = with_keywords(keywords, (("input", positional[0]),))
            elif library == "litellm" and positional:
                keywords = with_keywords(
                    tuple(zip(("model", "messages"), positional, strict=False)), keywords
                )
            else:
                keywords = with_keywords(
                    tuple(item for item in callee.keywords if item[0] == "tools"), keywords
                )
            self._add(node, asked, keywords, True, scope, callee)
            return NOTHING
        form = ".".join(callee.trail)
        if form in known_calls.NOT_ROUTED:
            self._not_routed(form, library, node)
            return NOTHING
        keeps = known_calls.KEEPS_THE_MODEL if library == "langchain" else known_calls.KEEPS_THE_CLIENT
        if len(callee.trail) == 1 and form in keeps:
            if form == "bind_tools" and positional:
                keywords = with_keywords((("tools", positional[0]),), keywords)
            return one(Made(callee.path, (), with_keywords(callee.keywords, keywords), callee.born))
        return NOTHING

    def _construct(self, key: str, positional: list[Argument], keywords: Keywords) -> Values:
        for method in self._class_attribute(key, "__init__", key, set()):
            if isinstance(method, Function) and method.key in self.functions:
                self._flow(self.functions[method.key], True, positional, keywords)
                return one(Instance(key))
        facts = self.classes.get(key)
        if facts is not None:
            given = [*zip(facts.fields, positional, strict=False), *keywords]
            for name, argument in given:
                if name in facts.fields and argument.values:
                    self._bind_attribute(key, name, argument.values)
        return one(Instance(key))

    def _flow(
        self, facts: _FunctionFacts, bound: bool, positional: list[Argument], keywords: Keywords
    ) -> None:
        """A caller's arguments become what the parameters may be."""
        arguments = facts.node.args
        names = [argument.arg for argument in [*arguments.posonlyargs, *arguments.args]]
        if bound:
            names = names[1:]
        known = {*names, *(argument.arg for argument in arguments.kwonlyargs)}
        given = [*zip(names, positional, strict=False), *(item for item in keywords if item[0] in known)]
        if arguments.kwarg is not None:
            rest = tuple(item for item in keywords if item[0] not in known and item[0] != "**")
            passed = dict(keywords).get("**")
            if rest:
                given.append((arguments.kwarg.arg, Argument(facts.node.body[0], "", one(Table(rest)))))  # type: ignore[arg-type]
            elif passed is not None:
                given.append((arguments.kwarg.arg, passed))
        for name, argument in given:
            before = facts.given.get(name, NOTHING)
            together = merged(before, argument.values)
            if together != before:
                facts.given[name], self.changed = together, True

    def _by_shape(self, node: ast.Call, callees: Values, keywords: Keywords, scope: _Scope) -> None:
        if any(
            isinstance(value, Made | Outside) and value.path.partition(".")[0] in known_calls.NOT_CLIENTS
            for value in callees
        ):
            return
        trail = tuple(part for part in _trail(node.func) if part not in known_calls.TRANSPARENT)
        asked = known_calls.asked_by_shape(trail, frozenset(name for name, _ in keywords))
        if asked is not None:
            awaited = node in self._module.awaited
            self._add(
                node, Asked(asked.library, asked.form, awaited, asked.streams), keywords, False, scope, None
            )

    def _handed_on(
        self, node: ast.Call, positional: list[Argument], keywords: Keywords, scope: _Scope
    ) -> None:
        """`executor.submit(client.messages.create, model=...)`: a call handed to somebody unknown, who will make it."""
        if ast.unparse(node.func).partition(".")[0] in ONLY_LOOK:
            return
        for place, argument in enumerate(positional):
            for value in argument.values:
                bound: Keywords = ()
                while isinstance(value, Partial):
                    bound, value = with_keywords(value.keywords, bound), value.callee
                if isinstance(value, Made | Outside):
                    asked = (
                        known_calls.asked_by_client(value.path, value.trail)
                        if isinstance(value, Made) and value.trail
                        else known_calls.asked_by_name(value.path)
                        if isinstance(value, Outside)
                        else None
                    )
                    if asked is not None:
                        more = keywords if place == 0 else ()
                        client = value if isinstance(value, Made) else None
                        self._add(node, asked, with_keywords(bound, more), True, scope, client)

    def _add(
        self,
        node: ast.Call,
        asked: Asked,
        keywords: Keywords,
        traced: bool,
        scope: _Scope,
        client: Made | None,
    ) -> None:
        place = (self._module.file, node.lineno, node.col_offset)
        before = self.found.get(place)
        if before is not None:
            if before.asked.library != asked.library or before.traced > traced:
                return
            keywords = _either(before.keywords, keywords)
        in_async = scope.in_async
        self.found[place] = Found(
            self._module, node, asked, keywords, traced, scope.function, in_async, client
        )

    def _not_routed(self, form: str, library: str, node: ast.Call) -> None:
        self.notes.append(
            Note(self._module.file, node.lineno, f"{library} {form}: the router does not make such calls")
        )


def _either(first: Keywords, second: Keywords) -> Keywords:
    """The keywords of a call whose client may be one or the other."""
    together = dict(first)
    for name, argument in second:
        known = together.get(name)
        together[name] = (
            argument
            if known is None
            else Argument(known.node, known.file, merged(known.values, argument.values))
        )
    return tuple(together.items())


def _is_langchain_model(value: Value) -> bool:
    return (
        isinstance(value, Made)
        and not value.trail
        and known_calls.library_of(value.path) == "langchain"
        and known_calls.makes_a_client(value.path)
    )


def _together(several: Iterable[Values]) -> Values:
    result = NOTHING
    for values in several:
        result = merged(result, values)
    return result


def _trail(node: ast.expr) -> tuple[str, ...]:
    """`a.b().c.d` -> (b, c, d): the attributes at the end, and what stands before the first of them."""
    names: list[str] = []
    while True:
        match node:
            case ast.Attribute(value=value, attr=name):
                names.append(name)
                node = value
            case ast.Call(func=func):
                node = func
            case _:
                break
    return tuple(reversed(names))


_NO_MODULE = Module("", "", False, "", ast.Module(body=[], type_ignores=[]))
_NO_ARGUMENT = Argument(ast.Constant(value=None), "", NOTHING)

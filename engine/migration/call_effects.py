"""What a call in the scanned code does, once its callee and arguments have values.

It calls a model (then it is recorded), creates or copies a client, calls a function or class of the scanned
code, or does nothing that matters here.
"""

import ast
from dataclasses import dataclass, replace

from engine.migration import libraries
from engine.migration.found_calls import FoundCalls
from engine.migration.libraries import CallKind
from engine.migration.scopes import Program, Scope
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
    argument_values,
    members,
    override,
    single,
    union_of,
)


@dataclass(frozen=True, slots=True)
class Call:
    """A call with its arguments evaluated."""

    node: ast.Call
    scope: Scope
    positional: tuple[Argument, ...]
    keywords: Keywords

    def with_keywords(self, keywords: Keywords) -> "Call":
        """The same call with other keywords."""
        return replace(self, keywords=keywords)

    def named(self, *names: str) -> Keywords:
        """The keywords, with the first positional arguments under these names."""
        return override(tuple(zip(names, self.positional, strict=False)), self.keywords)


def is_langchain_model(value: Value) -> bool:
    """Whether this is a LangChain model itself, not a method of one."""
    return (
        isinstance(value, ExternalObject)
        and not value.attributes
        and libraries.library_of(value.path) == "langchain"
        and libraries.creates_client(value.path)
    )


class CallEffects:
    """Evaluates calls and records those of a model."""

    def __init__(self, program: Program, found: FoundCalls) -> None:
        self._program = program
        self._found = found

    def apply(self, callee: Value, call: Call) -> Values | None:
        """What calling it returns; None when nothing is known of the callee."""
        match callee:
            case ExternalName(path):
                return self._apply_name(libraries.canonical(path), call)
            case ExternalObject():
                return self._apply_object(callee, call)
            case Partial(inner, bound):
                return self.apply(inner, call.with_keywords(override(bound, call.keywords)))
            case Function():
                return self._program.call_function(callee, call.positional, call.keywords)
            case Class(key):
                return self._program.instantiate(key, call.positional, call.keywords)
            case Instance(key):
                return self._apply_all(self._program.class_attribute(key, "__call__", instance=key), call)
            case ScannedModule() | Container() | Constant():
                return None

    def apply_unknown(self, callees: Values, call: Call) -> None:
        """A call of something unknown: a model call by its shape, or by a callee among its arguments."""
        self._by_shape(callees, call)
        self._by_argument(call)

    def _apply_all(self, callees: Values, call: Call) -> Values:
        return union_of(self.apply(callee, call) or UNKNOWN for callee in callees)

    # -- functions and classes of other packages

    def _apply_name(self, path: str, call: Call) -> Values | None:
        if libraries.creates_client(path):
            keywords = call.keywords
            if call.positional and path.endswith("init_chat_model"):
                keywords = override((("model", call.positional[0]),), keywords)
            place = (call.scope.module.file, call.node.lineno, call.node.col_offset)
            return single(ExternalObject(path, (), keywords, place))
        kind = libraries.function_call(path)
        if kind is not None:
            keywords = call.named("model", "messages") if kind.library == "litellm" else call.keywords
            self._found.add(call.node, call.scope, kind, keywords)
            return UNKNOWN
        if path in libraries.UNSUPPORTED_FUNCTIONS:
            library, _, form = path.partition(".")
            self._found.add_unsupported(call.node, call.scope, library, form)
            return UNKNOWN
        values = self._apply_effect(path, call)
        if values is None and libraries.library_of(path) == "langchain":
            values = self._langchain_wrapper(path, call)
        if values is not None:
            return values
        if path.rpartition(".")[2][:1].isupper() or path.partition(".")[0] in libraries.NOT_CLIENTS:
            return single(ExternalObject(path, (), (), None))
        return None

    def _apply_effect(self, path: str, call: Call) -> Values | None:
        """What a function with a row in `EFFECTS` returns; None for any other."""
        first = call.positional[0].values if call.positional else UNKNOWN
        match libraries.EFFECTS.get(path):
            case "binds its first argument":
                return frozenset(Partial(value, call.keywords) for value in first)
            case "makes a dict":
                return single(Container(tuple(item for item in call.keywords if item[0] != "**")))
            case "calls its factory":
                factories = first or argument_values(call.keywords, "default_factory")
                default = argument_values(call.keywords, "default")
                bare = replace(call, positional=(), keywords=())
                return union_of([default, *(self.apply(made, bare) or UNKNOWN for made in factories)])
            case "calls its first argument" if call.positional:
                return self._apply_all(first, replace(call, positional=call.positional[1:]))
            case "returns its first argument" if call.positional:
                return first
            case "returns its default" if len(call.positional) == 2:
                # The value of the variable is unknown; its default is the best guess.
                return frozenset(value for value in call.positional[1].values if isinstance(value, Constant))
            case "imports" if call.positional:
                return union_of(
                    single(self._program.index.resolve(value.value))
                    for value in first
                    if isinstance(value, Constant) and isinstance(value.value, str)
                )
            case _:
                return None

    def _langchain_wrapper(self, path: str, call: Call) -> Values | None:
        """Chains and agents call the model among their arguments: they stand for that model."""
        arguments = [*call.positional, *(argument for _, argument in call.keywords)]
        models = [
            value
            for argument in arguments
            for value in [*argument.values, *members(argument.values)]
            if isinstance(value, ExternalObject) and is_langchain_model(value)
        ]
        tools = tuple(item for item in call.keywords if item[0] == "tools")
        if not tools and "agent" in path.rpartition(".")[2].lower() and len(call.positional) > 1:
            tools = (("tools", call.positional[1]),)
        copies = (replace(model, attributes=(), keywords=override(model.keywords, tools)) for model in models)
        return frozenset(copies) or None

    # -- clients and their methods

    def _apply_object(self, callee: ExternalObject, call: Call) -> Values | None:
        library = libraries.library_of(callee.path)
        if library is None:
            return None
        kind = libraries.client_call(callee.path, callee.attributes)
        if kind is not None:
            self._found.add(call.node, call.scope, kind, _all_keywords(callee, kind, call), callee)
            return UNKNOWN
        form = ".".join(callee.attributes)
        if form in libraries.UNSUPPORTED_CALLS:
            self._found.add_unsupported(call.node, call.scope, library, form)
            return UNKNOWN
        copies = libraries.MODEL_COPIES if library == "langchain" else libraries.CLIENT_COPIES
        if len(callee.attributes) == 1 and form in copies:
            keywords = call.keywords
            if form == "bind_tools" and call.positional:
                keywords = override((("tools", call.positional[0]),), keywords)
            return single(replace(callee, attributes=(), keywords=override(callee.keywords, keywords)))
        return UNKNOWN

    # -- calls of something unknown

    def _by_shape(self, callees: Values, call: Call) -> None:
        if any(
            isinstance(value, ExternalObject | ExternalName)
            and value.path.partition(".")[0] in libraries.NOT_CLIENTS
            for value in callees
        ):
            return
        names = tuple(name for name in _attribute_names(call.node.func) if name not in libraries.CLIENT_VIEWS)
        kind = libraries.call_by_shape(names, frozenset(name for name, _ in call.keywords))
        if kind is not None:
            kind = replace(kind, asynchronous=call.node in call.scope.module.awaited)
            self._found.add(call.node, call.scope, kind, call.keywords, traced=False)

    def _by_argument(self, call: Call) -> None:
        """`executor.submit(client.messages.create, model=...)`: the callee is assumed to call it."""
        if ast.unparse(call.node.func).partition(".")[0] in libraries.INSPECTORS:
            return
        for position, argument in enumerate(call.positional):
            for value in argument.values:
                bound: Keywords = ()
                while isinstance(value, Partial):
                    bound, value = override(value.keywords, bound), value.callee
                kind = _kind_of(value)
                if kind is not None:
                    keywords = override(bound, call.keywords if position == 0 else ())
                    client = value if isinstance(value, ExternalObject) else None
                    self._found.add(call.node, call.scope, kind, keywords, client)


def _all_keywords(callee: ExternalObject, kind: CallKind, call: Call) -> Keywords:
    """The keywords of a model call with those that its client was made with or bound to."""
    match kind.library:
        case "langchain":
            keywords = override(callee.keywords, call.keywords)
            return override(keywords, (("input", call.positional[0]),)) if call.positional else keywords
        case "litellm" if call.positional:
            return call.named("model", "messages")
        case _:
            tools = tuple(item for item in callee.keywords if item[0] == "tools")
            return override(tools, call.keywords)


def _kind_of(callee: Value) -> CallKind | None:
    match callee:
        case ExternalObject(path, attributes) if attributes:
            return libraries.client_call(path, attributes)
        case ExternalName(path):
            return libraries.function_call(path)
        case _:
            return None


def _attribute_names(node: ast.expr) -> tuple[str, ...]:
    """`a.b().c.d` -> (b, c, d)."""
    match node:
        case ast.Attribute(value=value, attr=name):
            return (*_attribute_names(value), name)
        case ast.Call(func=func):
            return _attribute_names(func)
        case _:
            return ()

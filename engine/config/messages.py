"""Sentences about the YAML files and the folder that holds them."""

from collections.abc import Iterable

from engine.language.diagnostics import Diagnostic, Note, visible
from engine.language.sentences import Sentence, error, warning
from engine.language.source import Span
from engine.language.wording import listed, nearest


def _similar_or(name: str, known: Iterable[str], otherwise: str) -> str:
    near = nearest(name, known)
    return f"write `{visible(near)}`" if near else otherwise


def no_utf8_file(span: Span, is_utf16: bool) -> Diagnostic:
    what = "this file is UTF-16" if is_utf16 else "this character is not UTF-8"
    return error("not-utf8", span, what, "save the file as UTF-8")


def yaml_forbidden_character(span: Span, character: str) -> Diagnostic:
    return error(
        "hidden-character",
        span,
        f"a control character or one that hides or turns text stands here: {visible(character)}",
        "delete it; lines end with LF or CRLF, and text needs no other control characters",
    )


def yaml_syntax(message: str, span: Span, began: Span | None = None, help: str | None = None) -> Diagnostic:
    notes = (Note(began, "begun here"),) if began and began.line != span.line else ()
    return error("yaml-syntax", span, message, help, notes)


def yaml_cannot_begin(span: Span) -> Diagnostic:
    if span.text == "\t":
        return yaml_syntax("a tab cannot indent a line of YAML", span, help="indent with spaces")
    return yaml_syntax(
        f"a value cannot begin with `{visible(span.text)}`", span, help="put the value in quotes"
    )


yaml_value_over_lines = Sentence(
    "hidden-character",
    "this value holds a line break, a tab or another control character",
    "write it on one line, without such escapes",
)
yaml_alias = Sentence(
    "yaml-alias",
    "anchors (&) and aliases (*) are not read here",
    "write the value out; a text that begins with & or * goes in quotes",
)
yaml_tag = Sentence(
    "yaml-tag", "tags (!) are not read here", "leave the tag out; a text that begins with ! goes in quotes"
)
yaml_second_document = Sentence(
    "yaml-second-document", "a second document begins here", "keep one document a file"
)


def yaml_too_deep(span: Span, most: int) -> Diagnostic:
    return error(
        "yaml-too-deep",
        span,
        f"this is nested more than {most} deep",
        "nothing in these files is nested deeper than eight",
    )


yaml_key_is_no_word = Sentence(
    "yaml-key", "a list or a mapping cannot be a key", "write a word before the colon"
)


def yaml_number_too_long(span: Span, most_digits: int) -> Diagnostic:
    return error(
        "number-too-long",
        span,
        f"this number has more than {most_digits} digits",
        "put it in quotes when it is a name",
    )


def yaml_repeated_key(key: str, span: Span, first: Span) -> Diagnostic:
    return error(
        "repeated-key",
        span,
        f"`{visible(key)}` stands here twice",
        "keep one of the two",
        (Note(first, "first written here"),),
    )


def secret_in_file(key: str, span: Span) -> Diagnostic:
    """The value itself is blanked before anything can print it."""
    if key.endswith("_env"):
        message = (
            f"`{visible(key)}` takes the name of a variable, and this is none; it is not printed, in case it "
            "is a key"
        )
        help = f"write the variable's name, such as `{visible(key)}: PROVIDER_API_KEY`"
    else:
        message = f"`{visible(key)}` holds what looks like a secret, and secrets do not belong in this file"
        help = (
            "put it in an environment variable and write the variable's name: `api_key_env: PROVIDER_API_KEY`"
        )
    return error("secret-in-file", span, message, f"{help}; a key that others have seen must be replaced")


def no_variable(key: str, span: Span) -> Diagnostic:
    return error(
        "no-variable",
        span,
        f"`{visible(span.text)}` is no name of a variable",
        f"write letters, digits and underscores: `{key}: PROVIDER_API_KEY`",
    )


def unknown_key(key: str, parent: str, known: Iterable[str], span: Span) -> Diagnostic:
    known = list(known)
    help = _similar_or(key, known, f"known here: {listed(known)}")
    return error("unknown-key", span, f"`{visible(key)}` is not known in {parent}", help)


def missing_key(key: str, parent: str, span: Span, example: str | None = None) -> Diagnostic:
    return error(
        "missing-key",
        span,
        f"{parent} has no `{key}`",
        f"add `{key}: {example}`" if example else f"add `{key}:`",
    )


def no_value(key: str, span: Span) -> Diagnostic:
    return error("no-value", span, f"`{visible(key)}` has no value", "write one, or delete the line")


def wrong_type(key: str, wanted: str, shown: str, span: Span, instead: str | None = None) -> Diagnostic:
    help = f"write `{visible(instead)}`" if instead else None
    return error("wrong-type", span, f"{key} must be {wanted}, not {shown}", help)


def not_one_of(key: str, value: str, allowed: Iterable[str], span: Span) -> Diagnostic:
    allowed = list(allowed)
    near = nearest(value.lower(), allowed)
    choices = f"one of: {listed(allowed)}" if len(allowed) > 1 else f"it can only be `{allowed[0]}`"
    help = f"write `{near}`; {choices}" if near else choices
    return error("not-one-of", span, f"`{key}` cannot be `{visible(value)}`", help)


def out_of_bounds(key: str, value: str, bound: str, span: Span) -> Diagnostic:
    return error("out-of-bounds", span, f"{key} is {visible(value)}", f"it must be {bound}")


def too_many_members(key: str, most: int, span: Span) -> Diagnostic:
    return error("too-many", span, f"{key} has more than {most} members")


def empty_section(key: str, span: Span, help: str) -> Diagnostic:
    return error("empty-section", span, f"{key} is empty", help)


def bad_name(key: str, span: Span) -> Diagnostic:
    return error(
        "bad-name", span, f"{key} must have from 1 to 200 characters", "write a shorter name, or any"
    )


def bad_address(key: str, value: str, span: Span) -> Diagnostic:
    return error(
        "bad-address",
        span,
        f"`{key}` is no address: `{visible(value)}`",
        f"write it with its scheme, such as `{key}: http://localhost:11434`",
    )


def too_many_findings(span: Span, most: int) -> Diagnostic:
    return error("too-many-findings", span, f"more than {most} findings in this file; the rest are left out")


def other_currency(value: str, span: Span) -> Diagnostic:
    return error(
        "other-currency",
        span,
        f"prices are in US dollars, not in {visible(value)}",
        "write the prices in USD; budgets and scores have no exchange rates",
    )


def both_price_units(span: Span, other: Span) -> Diagnostic:
    return error(
        "both-price-units",
        span,
        "prices stand here per 1k and per 1m tokens",
        "keep one pair: `input_per_1m` and `output_per_1m`, or `input_per_1k` and `output_per_1k`",
        (Note(other, "the other unit"),),
    )


def half_a_price(model: str, missing: str, span: Span) -> Diagnostic:
    return warning(
        "half-a-price",
        span,
        f"`{visible(model)}` has no `{missing}`, so its price is unknown and it is never chosen",
        f"add `{missing}:`; write 0 if it costs nothing",
    )


def no_price(model: str, span: Span) -> Diagnostic:
    return warning(
        "no-price",
        span,
        f"cloud model `{visible(model)}` has no price, so it is never chosen",
        "add `cost_profile:` with `input_per_1m` and `output_per_1m`; write 0 if it costs nothing",
    )


def cost_type_contradicts(model: str, cost_type: str, locality: str, span: Span) -> Diagnostic:
    counts = (
        "counts as local: its price in money is not used"
        if locality == "local"
        else "counts as cloud: it needs a price in money"
    )
    return warning(
        "cost-type",
        span,
        f"`{cost_type}` contradicts its provider's `type: {locality}`; `{visible(model)}` {counts}",
        "write `paid` for cloud, `local_cpu` or `local_gpu` for local, or correct the provider's type",
    )


def reserved_name(what: str, name: str, span: Span) -> Diagnostic:
    return error(
        "reserved-name",
        span,
        f"a {what} cannot be called `{visible(name)}`: rules use that word for a whole class of models",
        f"call it something else, such as `{visible(name)}-1`",
    )


def repeated_model(model: str, provider: str, span: Span, first: Span) -> Diagnostic:
    return error(
        "repeated-model",
        span,
        f"`{visible(provider)}` lists the model `{visible(model)}` twice",
        "keep one of the two",
        (Note(first, "first listed here"),),
    )


def same_model_key(key: str, span: Span, other: Span) -> Diagnostic:
    return error(
        "ambiguous-model",
        span,
        f"two models are both written `{visible(key)}`",
        "rename a provider: an id that two providers have is written PROVIDER/ID",
        (Note(other, "the other one"),),
    )


no_models = Sentence(
    "no-models",
    "no provider lists a model, so every task would be refused",
    "list at least one below `models:`; models that are only discovered are not eligible",
)


def api_needed(provider: str, apis: tuple[str, ...], span: Span) -> Diagnostic:
    others = ", ".join(f"`api: {api}`" for api in apis if api != "openai")
    return error(
        "missing-key",
        span,
        f"the name `{visible(provider)}` does not say how this server is spoken to",
        f"add `api: openai` for a server that speaks like OpenAI's; or {others}",
    )


def address_needed(provider: str, api: str, span: Span, *, is_vendors: bool) -> Diagnostic:
    why = f"so its requests would go to {api}'s own" if is_vendors else f"and `api: {api}` has none by itself"
    return error(
        "missing-key",
        span,
        f"`{visible(provider)}` has no address, {why}",
        "add `base_url: http://HOST:PORT/v1`, or `base_url_env:` with the name of a variable",
    )


def address_is_not_local(provider: str, host: str, is_public: bool, span: Span) -> Diagnostic:
    if is_public:
        message = (
            f"`{visible(provider)}` is `type: local`, and {visible(host)} is neither this machine nor a "
            "private network"
        )
        help = (
            "write `type: cloud`, or use an address of your own network and list the network below "
            "`networks:`"
        )
    else:
        message = (
            f"{visible(host)} is another machine, so requests to `{visible(provider)}` are refused until its "
            "network is listed"
        )
        help = "add its network, such as `networks: [192.168.1.0/24]`"
    return warning("local-is-elsewhere", span, message, help)


def no_network(text: str, span: Span) -> Diagnostic:
    return error(
        "no-network",
        span,
        f"`{visible(text)}` is no network",
        "write it as address and prefix, such as `192.168.1.0/24` or `fd00::/8`",
    )


def network_too_wide(text: str, widest: int, span: Span) -> Diagnostic:
    return error(
        "no-network",
        span,
        f"`{visible(text)}` is too wide to be called local",
        f"list the networks of the house, of /{widest} or narrower",
    )


def cloud_model_called_local(model: str, span: Span) -> Diagnostic:
    return error(
        "local-is-elsewhere",
        span,
        f"`{visible(model)}` runs in the vendor's cloud, though a local server hands it on",
        "list it below a provider with `type: cloud`",
    )


def no_default_mode(built_in: str, modes: Iterable[str], span: Span) -> Diagnostic:
    return error(
        "missing-key",
        span,
        f"`routing` has no `default_mode`, and `{built_in}`, which would be it, is not among the modes",
        f"add `default_mode:` with one of: {listed(modes)}",
    )


def unknown_default_mode(mode: str, modes: Iterable[str], span: Span) -> Diagnostic:
    return _unknown_mode(f"`default_mode` is `{visible(mode)}`, and there is no such mode", mode, modes, span)


def weights_of_unknown_mode(mode: str, modes: Iterable[str], span: Span) -> Diagnostic:
    return _unknown_mode(f"there is no mode `{visible(mode)}` to weigh", mode, modes, span)


def _unknown_mode(message: str, mode: str, modes: Iterable[str], span: Span) -> Diagnostic:
    modes = list(modes)
    return error("unknown-mode", span, message, _similar_or(mode, modes, f"the modes are: {listed(modes)}"))


def mode_weights_sum(mode: str, total: str, span: Span) -> Diagnostic:
    return error(
        "weights-sum",
        span,
        f"the weights of `{visible(mode)}` sum to {total}, not to 1",
        "change one of cost, quality and latency so that the three make 1",
    )


def strategy_without_cloud(mode: str, strategy: str, span: Span, forbidden: Span) -> Diagnostic:
    return error(
        "strategy-without-cloud",
        span,
        f"`{visible(mode)}` does not allow cloud, so the strategy `{strategy}` says nothing",
        "delete this line, or write `allow_cloud: true`",
        (Note(forbidden, "cloud is forbidden here"),),
    )


def cloud_without_strategy(mode: str, span: Span) -> Diagnostic:
    return error(
        "strategy-without-cloud",
        span,
        f"`{visible(mode)}` allows cloud, and its strategy says none",
        "write `allow_cloud: false`, or one of: fallback_critical_only, balanced, aggressive",
    )


def override_of_unknown_type(task_type: str, known: Iterable[str], span: Span) -> Diagnostic:
    help = _similar_or(task_type, known, "add it to `task_types`")
    return error("unknown-task-type", span, f"`{visible(task_type)}` is not among `task_types`", help)


def unknown_provider_here(provider: str, where: str, known: Iterable[str], span: Span) -> Diagnostic:
    return warning(
        "unknown-provider",
        span,
        f"models.yaml has no provider `{visible(provider)}`; this {where} has no effect",
        _similar_or(provider, known, "add the provider to models.yaml, or delete the name"),
    )


def capability_no_model_has(capability: str, known: Iterable[str], span: Span) -> Diagnostic:
    return warning(
        "unknown-capability",
        span,
        f"no model has the capability `{visible(capability)}`, so its points go to none",
        _similar_or(capability, known, "add it to a model in models.yaml, or delete the name"),
    )


def listed_twice(name: str, span: Span, first: Span) -> Diagnostic:
    return warning(
        "listed-twice",
        span,
        f"`{visible(name)}` is listed twice",
        "delete one of the two",
        (Note(first, "first listed here"),),
    )


def differs_in_case_only(name: str, other: str, span: Span, first: Span) -> Diagnostic:
    return warning(
        "case-only",
        span,
        f"`{visible(name)}` and `{visible(other)}` differ in case only, and are two names",
        f"keep one spelling, such as `{visible(other)}`",
        (Note(first, "the other one"),),
    )


def no_limit(window: str, span: Span) -> Diagnostic:
    return error(
        "no-limit",
        span,
        f"`{window}` names no maximum, so nothing would be limited",
        "add `total_usd:` or `per_provider:`, or delete the section",
    )


def unknown_time_zone(name: str, known: Iterable[str], span: Span) -> Diagnostic:
    return error(
        "unknown-time-zone",
        span,
        f"there is no time zone `{visible(name)}`",
        _similar_or(name, known, "write an IANA name, such as `Europe/Berlin` or `UTC`"),
    )


no_folder = Sentence(
    "no-folder",
    "this is no folder that can be read",
    "name a folder that holds models.yaml; `engine init` writes one",
)


def no_catalogue(span: Span, misspelt: str | None) -> Diagnostic:
    help = f"rename `{visible(misspelt)}`" if misspelt else "write one, or let `engine init` write it"
    return error("no-catalogue", span, "this folder has no models.yaml", help)


def file_overlooked(name: str, wanted: str, span: Span) -> Diagnostic:
    return warning(
        "file-overlooked",
        span,
        f"`{visible(name)}` is not read",
        f"call it `{visible(wanted)}` if it belongs to the policy",
    )


def no_regular_file(kind: str, span: Span) -> Diagnostic:
    return error(
        "no-regular-file",
        span,
        f"this is {kind}, and only plain files are read",
        "copy the file itself into the folder",
    )


def unreadable_file(reason: str, span: Span) -> Diagnostic:
    return error("unreadable-file", span, f"this file cannot be read: {reason}")


def folder_too_big(span: Span, most_bytes: int) -> Diagnostic:
    return error(
        "folder-too-big",
        span,
        f"the files of this folder are larger than {most_bytes // (1024 * 1024)} MiB together",
        "keep generated files elsewhere",
    )


base_route_in_folder = Sentence(
    "base-route",
    "base.route is the name of the engine's own guards",
    "call this file something else; it cannot replace them",
)


def ordinal(number: int) -> str:
    """`the 3rd`, for the members of a list."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"the {number}{ending}"

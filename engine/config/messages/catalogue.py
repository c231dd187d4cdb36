"""Sentences about models.yaml: models, prices, addresses."""

from engine.language.diagnostics import Diagnostic, Note, visible
from engine.language.sentences import Sentence, error, warning
from engine.language.source import Span


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


def provider_without_models(provider: str, span: Span) -> Diagnostic:
    return warning(
        "no-models",
        span,
        f"`{visible(provider)}` lists no model, so nothing is ever sent there",
        "list its models, or leave the provider out",
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

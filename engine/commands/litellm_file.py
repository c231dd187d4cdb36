"""A config.yaml of LiteLLM -> the files of a policy folder, and a list of what could not be carried over.

What is carried: models with their window, prices and tool support, the addresses and key variables of their
servers, budgets and time limits. No key is ever copied: a reference to a variable becomes `api_key_env`, and
a key that is written out is left behind. A server counts as local only when its address is of this machine.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from engine.bundled import bundled_text
from engine.config.catalogue import Model, load_catalogue
from engine.config.redaction import is_blanked, variable_named
from engine.config.yaml_source import Document, Path, read_yaml
from engine.language.diagnostics import Problems, visible
from engine.language.source import Source
from engine.provider_apis import APIS

_KNOWN_SERVERS = {
    "mistral": ("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "groq": ("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "deepseek": ("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "together_ai": ("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "openrouter": ("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "xai": ("https://api.x.ai/v1", "XAI_API_KEY"),
    "fireworks_ai": ("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
}
_OPENAI_LIKE = frozenset(
    (
        "hosted_vllm",
        "vllm",
        "lm_studio",
        "llamafile",
        "xinference",
        "openai_like",
        "custom_openai",
        "text-completion-openai",
        "litellm_proxy",
        *_KNOWN_SERVERS,
    )
)
_GUESSED_WINDOW = 8192


@dataclass(frozen=True, slots=True)
class Carried:
    """The files of the folder by name, and a line for each thing that was left behind or guessed."""

    files: Mapping[str, str]
    left: tuple[str, ...]


class NoLiteLLMFile(Exception):  # noqa: N818 - its text is what the user reads
    """A file that is no config.yaml of LiteLLM."""


@dataclass(slots=True)
class _Server:
    """A provider to be: its name, and the lines that say where it is; `models` are its entries."""

    name: str
    lines: list[str]
    is_local: bool
    models: dict[str, list[str]] = field(default_factory=dict)


def read_litellm(name: str, text: str) -> Carried:
    """The policy folder for the text of a config.yaml. Raises NoLiteLLMFile."""
    problems = Problems()
    document = read_yaml(Source(name, text), problems)
    if document is None:
        problem = next(iter(problems))
        raise NoLiteLLMFile(f"{problem.span}: {problem.message}")
    if not isinstance(document.value, dict) or not isinstance(document.value.get("model_list"), list):
        raise NoLiteLLMFile(f"{visible(name)} has no `model_list`, so it is no file of LiteLLM")
    return _Reader(document).carried()


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.left: list[str] = []
        self._taken: set[Path] = set()
        self._servers: dict[tuple[str, str, str], _Server] = {}
        self._aliases: dict[str, str] = {}
        self._known = _bundled_models()

    def carried(self) -> Carried:
        for index in range(len(self._at("model_list"))):
            self._model(("model_list", index))
        settings = self._settings()
        rules = self._rules()
        self._list_untouched(self.document.value, ())
        if not any(server.models for server in self._servers.values()):
            raise NoLiteLLMFile("no model of this file could be carried over: " + "; ".join(self.left[:3]))
        left = tuple(dict.fromkeys(self.left))
        files = {"models.yaml": self._catalogue(left), "policies.yaml": settings, "main.route": rules}
        return Carried(files, left)

    # --- The document ---------------------------------------------------------------------------------

    def _at(self, *path: str | int) -> Any:
        value: Any = self.document.value
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def _take(self, *path: str | int) -> Any:
        """A value, which counts as carried over from now on."""
        self._taken.add(path)
        return self._at(*path)

    def _line(self, path: Path) -> int:
        return self.document.key(*path).line

    def _leave(self, path: Path, why: str) -> None:
        self._taken.add(path)
        key = next((step for step in reversed(path) if isinstance(step, str)), "")
        self.left.append(f"line {self._line(path)}, `{visible(str(key))}`: {why}")

    def _list_untouched(self, value: Any, path: Path) -> None:
        if path in self._taken:
            return
        if isinstance(value, dict) and value:
            for key, member in value.items():
                self._list_untouched(member, (*path, key))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for index, member in enumerate(value):
                self._list_untouched(member, (*path, index))
        else:
            self._leave(path, _WHY.get(str(path[-1]), "there is nothing like it here"))

    # --- Models ---------------------------------------------------------------------------------------

    def _model(self, path: Path) -> None:
        params = (*path, "litellm_params")
        alias, written = self._take(*path, "model_name"), self._take(*params, "model")
        if not isinstance(written, str):
            self._leave(path, "this member of `model_list` names no model")
            return
        prefix, _, id = written.partition("/")
        if not id:
            prefix, id = _vendor_of(written), written
        server = self._server(prefix, params)
        if server is None:
            self._leave((*params, "model"), f"nothing here speaks to `{visible(prefix or written)}`")
            self._taken.add(path)
            return
        if id in server.models:
            self._leave((*params, "model"), "it stands above already: a model is listed once for each server")
            return
        for name in (alias, id):
            if isinstance(name, str):
                self._aliases.setdefault(name, id)
        server.models[id] = [*self._entry(id, alias, server, (*path, "model_info"))]

    def _server(self, prefix: str, params: Path) -> _Server | None:
        base = next(
            (url for key in ("api_base", "base_url") if isinstance(url := self._take(*params, key), str)),
            None,
        )
        if base is not None and is_blanked(base):
            self._leave((*params, "api_base"), "an address with a key in it is not copied")
            return None
        api = {"ollama_chat": "ollama", "openai": "openai", "anthropic": "anthropic", "ollama": "ollama"}.get(
            prefix
        )
        if api is None and (prefix in _OPENAI_LIKE or (not prefix and base)):
            api = "openai"
        if api is None:
            return None
        variable = self._key_variable(params)
        known = _KNOWN_SERVERS.get(prefix)
        if known is not None:
            base, variable = base or known[0], variable or known[1]
        if api == "openai" and prefix != "openai" and not base:
            return None
        if not base and not variable:
            variable = APIS[api].vendor_key_env
        base_variable = variable_named(base) if base else None
        key = (api if api == prefix.partition("_")[0] else prefix or "server", base or "", variable or "")
        server = self._servers.get(key)
        if server is None:
            name = self._free_name(key[0].replace("_", "-"))
            is_local = _is_this_machine(base) if base else api == "ollama"
            lines = [f"type: {'local' if is_local else 'cloud'}", f"api: {api}"]
            if base:
                lines.append(
                    f"base_url_env: {base_variable}" if base_variable else f"base_url: {json.dumps(base)}"
                )
            if variable:
                lines.append(f"api_key_env: {variable}")
            if base and not is_local and known is None and api != "anthropic" and prefix != "openai":
                self.left.append(
                    f"line {self._line((*params, 'api_base'))}, `{name}`: it counts as cloud; if it is in "
                    "your house, write `type: local` and its network below `networks:`"
                )
            server = self._servers[key] = _Server(name, lines, is_local)
        return server

    def _key_variable(self, params: Path) -> str | None:
        key = self._take(*params, "api_key")
        if not isinstance(key, str):
            return None
        variable = variable_named(key)
        if variable is None and (is_blanked(key) or len(key) > 12):
            self._leave(
                (*params, "api_key"),
                "a key is not copied: put it in a variable and write `api_key_env:` with the variable's name",
            )
        return variable

    def _free_name(self, wanted: str) -> str:
        taken = {server.name for server in self._servers.values()}
        names = (wanted, *(f"{wanted}-{number}" for number in range(2, len(taken) + 3)))
        return next(name for name in names if name not in taken)

    def _entry(self, id: str, alias: Any, server: _Server, info: Path) -> Iterator[str]:
        known = self._known.get(id)
        yield f"id: {json.dumps(id)}"
        if isinstance(alias, str) and alias != id:
            yield f"display_name: {json.dumps(alias)}"
        window = self._number(info, "max_input_tokens") or self._number(info, "max_tokens")
        if window is None and known is None:
            self.left.append(f"`{visible(id)}`: its window is not written; {_GUESSED_WINDOW} is a guess")
        yield f"max_context: {window or (known.max_context if known else _GUESSED_WINDOW)}"
        yield f"quality_tier: {known.quality if known else 'medium'}"
        yield f"latency_tier: {known.latency if known else 'medium'}"
        if known is None:
            self.left.append(f"`{visible(id)}`: `quality_tier` and `latency_tier` are guesses")
        tools = self._take(*info, "supports_function_calling")
        if isinstance(tools, bool):
            yield f"tools: {'yes' if tools else 'no'}"
        if server.is_local:
            yield "cost_profile: {type: local_gpu, relative_cost: 1.0}"
            return
        prices = [self._price(info, key) for key in ("input_cost_per_token", "output_cost_per_token")]
        if None in prices and known is not None and known.prices is not None:
            prices = [f"{price:f}" for price in (known.prices.input, known.prices.output)]
        if None in prices:
            self.left.append(
                f"`{visible(id)}`: no price is written, and a cloud model without one is never chosen"
            )
            return
        both = f"input_per_1m: {prices[0]}, output_per_1m: {prices[1]}"
        yield f"cost_profile: {{type: paid, currency: USD, {both}}}"

    def _number(self, info: Path, key: str) -> int | None:
        value = self._take(*info, key)
        return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None

    def _price(self, info: Path, key: str) -> str | None:
        """US dollars per million tokens, of a price by the token."""
        value = self._take(*info, key)
        try:
            price = Decimal(str(value)) * 1_000_000
        except InvalidOperation:
            return None
        return f"{price.normalize():f}" if price.is_finite() and 0 <= price <= 1_000_000 else None

    # --- The files ------------------------------------------------------------------------------------

    def _catalogue(self, left: tuple[str, ...]) -> str:
        lines = ["# Made of a config.yaml of LiteLLM by `engine init --from litellm`.", *_comment(left), ""]
        lines.append("providers:")
        for server in self._servers.values():
            if server.models:
                lines += [f"  {server.name}:", *(f"    {line}" for line in server.lines), "    models:"]
                for entry in server.models.values():
                    lines += [f"      - {entry[0]}", *(f"        {line}" for line in entry[1:])]
        return "\n".join(lines) + "\n"

    def _settings(self) -> str:
        budgets: dict[str, list[str]] = {}
        total = self._take("litellm_settings", "max_budget")
        window = _WINDOWS.get(str(self._take("litellm_settings", "budget_duration") or "30d"))
        if _is_amount(total):
            if window is None:
                self._leave(
                    ("litellm_settings", "budget_duration"), "budgets here are of a day or of a month"
                )
            else:
                budgets.setdefault(window, []).append(f"total_usd: {total}")
        limits: dict[str, list[str]] = {}
        of_provider = ("router_settings", "provider_budget_config")
        for vendor in self._at(*of_provider) or {}:
            limit = self._take(*of_provider, vendor, "budget_limit")
            window = _WINDOWS.get(str(self._take(*of_provider, vendor, "time_period")))
            server = next(
                (each for each in self._servers.values() if each.name == vendor and each.models), None
            )
            if server is not None and window is not None and _is_amount(limit):
                limits.setdefault(window, []).append(f"{vendor}: {limit}")
            else:
                self._leave((*of_provider, vendor), "budgets here are of a day or of a month, by provider")
        for window, per_provider in limits.items():
            budgets.setdefault(window, []).append(f"per_provider: {{{', '.join(per_provider)}}}")
        if not budgets:
            self.left.append("nothing limits what is spent: write `budgets:` in policies.yaml")
        text = _SETTINGS
        if budgets:
            windows = "".join(f"  {each}: {{{', '.join(parts)}}}\n" for each, parts in budgets.items())
            text += f"\nbudgets:\n{windows}"
        seconds = self._take("router_settings", "timeout") or self._take(
            "litellm_settings", "request_timeout"
        )
        return text + (f"\ntimeouts: {{default: {seconds}}}\n" if _is_amount(seconds) else "")

    def _rules(self) -> str:
        lines = ["language 1", "", "# Guards come first: what must not leave, whatever else is written."]
        lines += [
            "forbid private-stays-home: cloud",
            "    when task.labels has any [pii, secret, customer-data]",
            '    because "what is marked private does not leave this machine"',
        ]
        for section in ("router_settings", "litellm_settings"):
            for index, member in enumerate(self._at(section, "fallbacks") or ()):
                for first, others in member.items() if isinstance(member, dict) else ():
                    self._leave(
                        (section, "fallbacks", index, first),
                        "a task says what it is, and a `route` which models come first: see main.route",
                    )
                    named = (self._aliases.get(each) for each in (first, *(others or ())))
                    tiers = [json.dumps(id) for id in named if id is not None]
                    if len(tiers) > 1:
                        route = re.sub(r"[^a-z0-9]+", "-", str(first).lower()).strip("-")
                        lines += ["", f"# route first-{route}: use {', then '.join(tiers)}"]
                        lines += ["#     when task.type is ..."]
        return "\n".join(lines) + "\n"


_WINDOWS = {"1d": "daily", "24h": "daily", "30d": "monthly", "1mo": "monthly", "31d": "monthly"}
_WHY = {
    "rpm": "requests a minute are not counted here; `max_concurrent` limits how many run at once",
    "tpm": "tokens a minute are not counted here; `budgets` limits what is spent",
    "num_retries": "what is tried again is the router's own",
    "routing_strategy": "rules, and the score, say which model comes first",
    "master_key": "there is no proxy with a key of its own",
    "database_url": "the ledger has its own place: see the page on operations",
}
_SETTINGS = """\
routing:
  default_mode: balanced
  modes:
    balanced: {allow_cloud: true, cloud_usage_strategy: balanced}
    local-only: {allow_cloud: false}
  weights:
    balanced: {cost: 0.4, quality: 0.4, latency: 0.2}

# With this list a label that is not on it is refused: a misspelt label is a leak.
labels: [pii, secret, customer-data]
"""


def _comment(left: tuple[str, ...]) -> list[str]:
    return (
        ["# What could not be carried over, or is guessed:", *(f"#   {each}" for each in left)]
        if left
        else []
    )


def _vendor_of(model: str) -> str:
    """LiteLLM knows the plain names of two vendors."""
    if re.match(r"gpt-|o[0-9]|chatgpt-", model):
        return "openai"
    return "anthropic" if model.startswith("claude-") else ""


def _is_this_machine(address: str) -> bool:
    return (
        re.match(r"https?://(?:localhost|127\.0\.0\.1|\[::1\])(?=[:/]|$)", address, re.IGNORECASE) is not None
    )


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool) and value > 0


def _bundled_models() -> dict[str, Model]:
    """The models of the bundled default set: windows, tiers and prices that are known."""
    problems = Problems()
    document = read_yaml(Source("models.yaml", bundled_text("policies", "default", "models.yaml")), problems)
    assert document is not None
    return {model.id: model for model in load_catalogue(document, problems).models}

"""The APIs a provider can speak, one row each: everything that differs between them outside their own
adapters.

The catalogue and its schema, the factory of providers, the transport, `engine init`, `engine doctor` and the
pages read these rows and name no API themselves. A new API is a row here and a module in `engine/providers/`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class SdkPackage:
    """A vendor's package: its import name, which is also its distribution's, and the major versions that
    work.

    `beyond` is the first major version that is not known to work.
    """

    name: str
    first: int
    beyond: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderApi:
    """One API. Raises ValueError for a `local_url` that is not on this machine.

    `name` is what `api:` in models.yaml says, `title` what people call it, `adapter` the provider's class as
    "module:class", which is imported when the first provider of the API is made.

    A provider without an address of its own gets one in two cases only. `local_url` is where such a server
    listens on this machine unless it was told otherwise; the variable `local_url_env` replaces it.
    `vendor_url` is the vendor's own address, and goes to cloud providers that are named after the API.
    Without either, the address must be written: nobody's prompt reaches a vendor because a line was
    forgotten.

    `vendor_key_env` is the variable that holds the key for `vendor_url`.

    `tells_capabilities`: a server of this API says what each of its models can do.
    """

    name: str
    title: str
    adapter: str
    local_url: str | None = None
    local_url_env: str | None = None
    vendor_url: str | None = None
    vendor_key_env: str | None = None
    sdk: SdkPackage | None = None
    tells_capabilities: bool = False

    def __post_init__(self) -> None:
        host = urlsplit(self.local_url).hostname if self.local_url else None
        if self.local_url and host not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError(f"{self.name}: `local_url` is not on this machine")

    def names(self, provider: str) -> bool:
        """Whether the provider's name begins with the API's: `ollama`, `Ollama-gpu` and `ollama_2`, not
        `ollamas`."""
        return re.match(rf"{re.escape(self.name)}(?![a-z])", provider.lower()) is not None

    def default_url(self, provider: str, locality: Literal["local", "cloud"]) -> str | None:
        """The address of a provider that has none of its own; None when it must be written."""
        if self.local_url is not None:
            return self.local_url
        return self.vendor_url if locality == "cloud" and self.names(provider) else None

    @property
    def vendor_host(self) -> str | None:
        """The host of the vendor's own address."""
        return urlsplit(self.vendor_url).hostname if self.vendor_url else None


_ROWS = (
    ProviderApi(
        name="ollama",
        title="Ollama",
        adapter="engine.providers.ollama:OllamaProvider",
        local_url="http://127.0.0.1:11434",
        tells_capabilities=True,
        local_url_env="OLLAMA_BASE_URL",
    ),
    ProviderApi(
        name="anthropic",
        title="Anthropic",
        adapter="engine.providers.anthropic:AnthropicProvider",
        vendor_url="https://api.anthropic.com",
        vendor_key_env="ANTHROPIC_API_KEY",
        sdk=SdkPackage("anthropic", 2, 3),
    ),
    ProviderApi(
        name="openai",
        title="OpenAI and every server that speaks like it",
        adapter="engine.providers.openai:OpenAIProvider",
        vendor_url="https://api.openai.com/v1",
        vendor_key_env="OPENAI_API_KEY",
        sdk=SdkPackage("openai", 3, 4),
    ),
)

APIS: Mapping[str, ProviderApi] = {row.name: row for row in _ROWS}


def api_named(provider: str) -> ProviderApi | None:
    """The API that a provider's name begins with."""
    return next((api for api in APIS.values() if api.names(provider)), None)


def sdk_packages() -> dict[str, SdkPackage]:
    """The vendors' packages that the adapters need, by name."""
    return {api.sdk.name: api.sdk for api in APIS.values() if api.sdk is not None}

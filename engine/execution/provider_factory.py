"""A provider of the catalogue and the environment -> where it is, what its key is, and the adapter that speaks to it.

Addresses come from the configuration: the variable that `base_url_env` names, else `base_url`, else the API's own
address (`OLLAMA_BASE_URL` for Ollama). No other variable moves a request. Nothing is opened here.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from engine.config.catalogue import Provider as Configured
from engine.environment import Environment
from engine.providers.base import Egress, Provider, Target
from engine.providers.secret import Secret

VENDOR_ADDRESSES = {
    "ollama": "http://127.0.0.1:11434",
    "anthropic": "https://api.anthropic.com",
    "openai": "https://api.openai.com/v1",
}
_VENDOR_KEYS = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}

MakeProvider: TypeAlias = Callable[[Target], Provider]
Given: TypeAlias = Mapping[str, Provider | MakeProvider] | MakeProvider
"""Providers a caller brings: one function for all, or by name a provider or a function. A function is asked again
after a reload, because a target belongs to one policy."""


def target_of(configured: Configured, environment: Environment, digest: str) -> Target:
    """Where requests to this provider go."""
    url, _ = address_of(configured, environment)
    egress = Egress.LOCAL if configured.locality == "local" else Egress.CLOUD
    return Target(configured.name, url, egress, digest, configured.networks)


def address_of(configured: Configured, environment: Environment) -> tuple[str, str]:
    """The base URL and what it comes from."""
    if url := environment.value(configured.base_url_env):
        return url, str(configured.base_url_env)
    if configured.base_url:
        return configured.base_url, "models.yaml"
    if configured.api == "ollama" and (url := environment.value("OLLAMA_BASE_URL")):
        return url, "OLLAMA_BASE_URL"
    return VENDOR_ADDRESSES[configured.api], "built in"


def key_variable(configured: Configured) -> str | None:
    """The variable that holds the key. A vendor's own variable is read for the vendor's own address only."""
    if configured.api_key_env:
        return configured.api_key_env
    at_vendor = configured.locality == "cloud" and not configured.base_url and not configured.base_url_env
    return _VENDOR_KEYS.get(configured.api) if at_vendor else None


def missing_key(configured: Configured, environment: Environment) -> str | None:
    """The variable a cloud provider's key is missing from; None when it has one."""
    if configured.locality == "local":
        return None
    variable = key_variable(configured)
    return variable if variable and not environment.value(variable) else None


def make_provider(
    configured: Configured, target: Target, environment: Environment, monotonic: Callable[[], float]
) -> Provider:
    """The adapter for this provider's API. It loads its SDK and opens connections when it first sends."""
    value = environment.value(key_variable(configured))
    key = Secret(value) if value else None
    match configured.api:
        case "ollama":
            from engine.providers.ollama import OllamaProvider

            return OllamaProvider(target, api_key=key, clock=monotonic)
        case "anthropic":
            from engine.providers.anthropic import AnthropicProvider

            return AnthropicProvider(target, api_key=key, clock=monotonic)
        case "openai":
            from engine.providers.openai import OpenAIProvider

            return OpenAIProvider(target, api_key=key, clock=monotonic)

"""A provider of the catalogue and the environment -> where it is, what its key is, and the adapter that
speaks to it.

Addresses come from the configuration: the variable that `base_url_env` names, else `base_url`, else what the
API's row in `engine.provider_apis` allows. The API's own variable, where its row names one, wins over all of
these for the provider that has the API's name. No other variable moves a request. Nothing is opened here.
"""

from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from typing import TypeAlias
from urllib.parse import urlsplit, urlunsplit

from engine.config.catalogue import Provider as Configured
from engine.environment import Environment
from engine.provider_apis import APIS
from engine.providers.base import Egress, Provider, Target
from engine.providers.secret import Secret

MakeProvider: TypeAlias = Callable[[Target], Provider]
Given: TypeAlias = Mapping[str, Provider | MakeProvider] | MakeProvider
"""Providers a caller brings: one function for all, or by name a provider or a function. A function is
asked again after a reload, because a target belongs to one policy."""


def target_of(configured: Configured, environment: Environment, digest: str) -> Target:
    """Where requests to this provider go. Without an address the target has an empty one, which no
    transport takes."""
    url = address_of(configured, environment) or ""
    return Target(configured.name, url, egress_of(configured), digest, configured.networks)


def egress_of(configured: Configured) -> Egress:
    """How far requests to this provider may travel."""
    return Egress.LOCAL if configured.locality == "local" else Egress.CLOUD


def address_of(configured: Configured, environment: Environment) -> str | None:
    """The base URL; None when the variable that should hold it is not set and the API allows no default."""
    return _address(configured, environment)[0]


def address_text(configured: Configured, environment: Environment) -> str:
    """The base URL and where it comes from, for people: without user, password and query."""
    url, source = _address(configured, environment)
    if url is None:
        return f"no address: {source} is not set"
    parts = urlsplit(url)
    shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return f"{shown} ({source})"


def _address(configured: Configured, environment: Environment) -> tuple[str | None, str]:
    api = APIS[configured.api]
    own = environment.value(api.local_url_env)
    if own and configured.name == api.name:
        return own, str(api.local_url_env)
    written = environment.value(configured.base_url_env)
    if written:
        return written, str(configured.base_url_env)
    if configured.base_url:
        return configured.base_url, "models.yaml"
    if own:
        return own, str(api.local_url_env)
    url = api.default_url(configured.name, configured.locality)
    return url, "default" if url else configured.base_url_env or "base_url"


def missing_variable(configured: Configured, environment: Environment) -> str | None:
    """The variable without which the provider cannot be called: for its address, or for a cloud provider's
    key."""
    if address_of(configured, environment) is None:
        return configured.base_url_env
    if configured.locality == "local":
        return None
    variable = configured.key_variable
    return variable if variable and not environment.value(variable) else None


def make_provider(
    configured: Configured, target: Target, environment: Environment, monotonic: Callable[[], float]
) -> Provider:
    """The adapter for this provider's API. It loads its SDK and opens connections when it first sends."""
    value = environment.value(configured.key_variable)
    key = Secret(value) if value else None
    adapter: Callable[..., Provider] = resolve_name(APIS[configured.api].adapter)
    return adapter(target, api_key=key, clock=monotonic)

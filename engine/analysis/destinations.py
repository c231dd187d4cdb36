"""Two catalogues -> the other places that requests go to under the new one, and the other keys they carry.

Addresses are compared as they are written: a variable is known by its name, and its value by nobody here.
"""

from collections.abc import Iterator
from typing import TypeAlias

from engine.config.catalogue import Catalogue, Provider
from engine.language.source import Span
from engine.provider_apis import APIS

Address: TypeAlias = tuple[str | None, ...]
"""What decides an address, the first that is set: the API's own variable, the provider's, the URL, and the
variable behind a default."""


def other_destinations(old: Catalogue, new: Catalogue) -> Iterator[tuple[str, Span]]:
    """A sentence for each place or key that the old catalogue did not have, and where its provider stands.
    A local provider at an address that none had counts: its server may be a tunnel to somewhere else."""
    known = {provider.name: provider for provider in old.providers}
    local = {_address(provider) for provider in old.providers if provider.locality == "local"}
    keys = {(_address(provider), provider.key_variable) for provider in old.providers}
    for provider in new.providers:
        before, name, span = known.get(provider.name), provider.name, provider.span
        if before is None or before.locality != provider.locality:
            if provider.locality == "cloud":
                yield f"{name} is a cloud provider now", span
            elif before is not None:
                yield f"{name} is a local provider now, and no rule for the cloud holds for it", span
            elif _address(provider) not in local:
                yield f"{name} is a local provider at an address that none had", span
            if before is None and provider.networks:
                yield f"{name} may be in more networks", span
        if before is not None:
            if _address(provider) != _address(before):
                yield f"{name} has another address", span
            if {*provider.networks} - {*before.networks}:
                yield f"{name} may be in more networks", span
        key = provider.key_variable
        if key and (_address(provider), key) not in keys and (before or provider.locality == "local"):
            yield f"{name} is sent another key, the one in {key}", span


def _address(provider: Provider) -> Address:
    api = APIS[provider.api]
    url = provider.base_url or api.default_url(provider.name, provider.locality)
    return (
        api.local_url_env if provider.name == api.name else None,
        provider.base_url_env,
        None if url is None else url.rstrip("/"),
        None if provider.base_url else api.local_url_env,
    )

"""The models that Ollama has on this machine. Calls loopback only, whatever the environment says; never
raises."""

import json
from dataclasses import dataclass
from typing import Any

from engine.provider_apis import APIS

DEFAULT_URL = APIS["ollama"].local_url or ""
TIMEOUT_S = 1.0
MOST_BYTES = 1 << 20
MOST_MODELS = 50


@dataclass(frozen=True, slots=True)
class Pulled:
    """A model as Ollama lists it. `billions` of parameters is None when it does not say."""

    name: str
    billions: float | None


def pulled_models(base_url: str | None) -> tuple[Pulled, ...] | None:
    """The pulled models, smallest first; None when nobody answers.

    `base_url` (OLLAMA_BASE_URL) is used only when it is a loopback address, for even a question is a request
    that leaves the machine. Models that Ollama passes on to another machine are left out: they are not local.
    """
    address = _loopback(base_url or DEFAULT_URL)
    answer = address and _complete(f"{address}/api/tags")
    if not isinstance(answer, dict) or not isinstance(listed := answer.get("models"), list):
        return None
    pulled = [
        _pulled(entry) for entry in listed[:MOST_MODELS] if isinstance(entry, dict) and _talks_here(entry)
    ]
    return tuple(sorted(filter(None, pulled), key=lambda model: (model.billions or 0, model.name)))


def _loopback(base_url: str) -> str | None:
    from engine.providers.addresses import BadAddress, known_addresses, parse_address

    try:
        address = parse_address(base_url if "://" in base_url else f"http://{base_url}")
    except BadAddress:
        return None
    known = known_addresses(address.host)
    if address.socket is not None or not known or not all(ip.is_loopback for ip in known):
        return None
    host = f"[{known[0]}]" if known[0].version == 6 else str(known[0])
    return f"{address.scheme}://{host}:{address.port}{address.path}"


def _complete(url: str) -> Any:
    import httpx2

    try:
        with (
            httpx2.Client(trust_env=False, timeout=TIMEOUT_S, follow_redirects=False) as client,
            client.stream("GET", url) as response,
        ):
            if response.status_code != 200:
                return None
            body = b""
            for part in response.iter_bytes():
                body += part
                if len(body) > MOST_BYTES:
                    return None
        return json.loads(body)
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, RecursionError):
        return None


def _talks_here(entry: dict[str, Any]) -> bool:
    if entry.get("remote_host") or entry.get("remote_model"):
        return False
    details = entry.get("details")
    family = str(details.get("family", "")) if isinstance(details, dict) else ""
    return "bert" not in family and "embed" not in str(entry.get("name"))


def _pulled(entry: dict[str, Any]) -> Pulled | None:
    name, details = entry.get("name"), entry.get("details")
    if not isinstance(name, str) or not 0 < len(name) <= 200 or not name.isprintable():
        return None
    size = str(details.get("parameter_size", "")) if isinstance(details, dict) else ""
    digits, unit = size[:-1], size[-1:].upper()
    try:
        billions = float(digits) / {"B": 1, "M": 1000}[unit]
    except (KeyError, ValueError):
        billions = None
    return Pulled(name.removesuffix(":latest"), billions)

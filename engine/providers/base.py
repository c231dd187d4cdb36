"""What a provider is, and what it is asked with: a target, the permit to send there, a request.

A `Request` in OpenAI-style messages becomes a `Reply`, or an iterator of `Chunk`s that ends with one; each
provider translates both ways. Nothing here reads a clock, the environment or a file, and no value's repr
shows a prompt or a key.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, Protocol, runtime_checkable

from engine.providers.errors import EgressRefused, ProviderError
from engine.providers.messages import read_messages
from engine.providers.options import NO_OPTIONS, RequestOptions
from engine.providers.parts import Turn
from engine.providers.reply import Chunk, Reply


class Egress(Enum):
    """How far a request may travel: `LOCAL` never leaves loopback, a unix socket or a configured network."""

    LOCAL = "local"
    CLOUD = "cloud"


@dataclass(frozen=True, slots=True)
class Permit:
    """The capability to send to one target, minted by the router from a decision and checked by the
    transport.

    Every request needs one, probes included; the transport refuses unless all three match its own target.
    """

    target: str
    egress: Egress
    policy_digest: str


@dataclass(frozen=True, slots=True)
class Target:
    """Where a provider sends, fixed at construction from one policy snapshot.

    `name` is the provider's name in models.yaml; `base_url` is http(s)://host[:port][/path] or
    http+unix://%2Fpath%2Fto.sock[/path]; `egress` what the configuration says it is, which the transport
    holds it to; `networks` the CIDRs that count as local besides loopback (none unless configured);
    `policy_digest` the digest of the snapshot the target was built from.
    """

    name: str
    base_url: str
    egress: Egress
    policy_digest: str
    networks: tuple[str, ...] = ()

    def check(self, permit: Permit) -> None:
        """Raise EgressRefused unless the permit was minted for this very target.

        >>> there = Target("ollama", "http://127.0.0.1:11434", Egress.LOCAL, "sha256:a")
        >>> there.check(Permit("ollama", Egress.LOCAL, "sha256:a"))
        """
        for fact, permitted, actual in (
            ("target", permit.target, self.name),
            ("egress class", permit.egress.value, self.egress.value),
            ("policy digest", permit.policy_digest, self.policy_digest),
        ):
            if permitted != actual or not actual:
                raise EgressRefused(
                    provider=self.name, dispatched=False, detail=f"the permit is for another {fact}"
                )


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits of one attempt, in seconds; each also ends at the request's deadline.

    `connect_s` ends as Unreachable. `first_token_s` and `idle_s` are how long a stream may be silent before
    and after its first piece: every byte is a sign of life, a comment or a ping too. `answer_s` guards an
    answer taken whole, and how long a stream may live without showing anything; `whole_s` all of it. They
    end as OutcomeUnknown before content and as StreamInterrupted after. `load_s` is added when the provider
    knows that it must load the model first, and is how long a server may say that it does.
    """

    connect_s: float = 3.0
    first_token_s: float = 60.0
    idle_s: float = 60.0
    answer_s: float = 120.0
    load_s: float = 60.0
    whole_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Request:
    """One attempt at one model of one target.

    `messages` and `tools` are mappings in OpenAI's form or Anthropic's; `turns` are the messages when they
    have been read already. `max_tokens`
    bounds the output, reasoning included. `deadline_s` is what is left of the deadline of the whole chain, in
    seconds. `context_tokens` is the expected size of the prompt in tokens (a mean, not a bound); None lets
    the provider estimate it. `refused` are fields that this target has refused: each is left out, and the
    limit of the output goes by its other name. `on_dispatch` is called once, just before the first byte of
    the prompt leaves; what it raises keeps the prompt from leaving and comes out of the attempt as it is.
    """

    model: str
    permit: Permit
    messages: Sequence[Mapping[str, Any]] = field(repr=False)
    tools: Sequence[Mapping[str, Any]] | None = field(default=None, repr=False)
    max_tokens: int | None = None
    options: RequestOptions = NO_OPTIONS
    deadline_s: float = 120.0
    timeouts: Timeouts = Timeouts()
    context_tokens: int | None = None
    refused: frozenset[str] = frozenset()
    on_dispatch: Callable[[], None] | None = field(default=None, repr=False, compare=False)
    turns: tuple[Turn, ...] | None = field(default=None, repr=False, compare=False)

    def read(self) -> tuple[Turn, ...]:
        """The messages as turns. Raises InvalidRequest."""
        return read_messages(self.messages) if self.turns is None else self.turns


@dataclass(frozen=True, slots=True)
class DiscoveredModel:
    """A model a provider says it has; None is unknown.

    `context_tokens` is the window that would be in effect, `loaded_context_tokens` the one now allocated.
    `remote_host` is set when a local daemon would pass prompts on to that host.
    """

    id: str
    digest: str | None = None
    context_tokens: int | None = None
    loaded_context_tokens: int | None = None
    capabilities: tuple[str, ...] = ()
    tools: bool | None = None
    warm: bool | None = None
    remote_host: str | None = None


def find_model(known: Mapping[str, DiscoveredModel], model_id: str) -> DiscoveredModel | None:
    """The entry of a provider's own list for a model; Ollama's `name` is `name:latest`."""
    return known.get(model_id) or known.get(f"{model_id}:latest")


@dataclass(frozen=True, slots=True)
class Health:
    """How a provider is: `latency_s` of the probe in seconds, `error` when it is not `up`."""

    status: Literal["up", "down", "misconfigured"]
    latency_s: float | None = None
    version: str | None = None
    error: ProviderError | None = None


@runtime_checkable
class Provider(Protocol):
    """What the router calls. Every method that sends needs a permit for `target`.

    An attempt is one attempt: no provider retries, falls back or follows a redirect.
    """

    @property
    def target(self) -> Target:
        """Where it sends."""

    async def complete(self, request: Request) -> Reply:
        """The whole answer. Raises ProviderError, and CancelledError when the caller cancels."""

    def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """The answer piece by piece; the last piece carries the reply.

        Raises ProviderError before the first content, StreamInterrupted after it. Close it (`aclosing`) to
        give up.
        """

    async def probe(self, permit: Permit, *, timeout_s: float = 5.0) -> Health:
        """Is it there? Sends no user content, costs nothing, and raises for nothing but a caller's cancel."""

    async def discover(self, permit: Permit, *, timeout_s: float = 5.0) -> tuple[DiscoveredModel, ...]:
        """The models it has, sorted by id. Raises ProviderError."""

    async def aclose(self) -> None:
        """Close its connections. Idempotent."""


def text_bytes(messages: Iterable[Mapping[str, Any]]) -> int:
    """UTF-8 bytes of all text in OpenAI-style messages; images and tools are not counted."""
    total = 0
    for message in messages:
        content = message.get("content")
        parts = content if isinstance(content, list | tuple) else [{"text": content}]
        for part in parts:
            text = part.get("text") if isinstance(part, Mapping) else None
            total += len(text.encode("utf-8", "replace")) if isinstance(text, str) else 0
    return total

"""A request -> an upper bound of what it can cost, and the longest answer that fits a budget.

A byte-level tokeniser never makes two tokens of one byte, so the bytes of a text bound its tokens. What a
provider adds around messages and tools is closed to us; the constants here are generous rather than proved,
and an attempt that costs more than its bound closes the account (`breach`).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.budget.errors import UnboundedInput
from engine.budget.money import PRICED_TOKENS, TokenPrices, ceil_divide

REQUEST_TOKENS = 64
MESSAGE_TOKENS = 16
# The hidden prompt that explains tools to the model.
TOOLS_TOKENS = 1_000
# The dearest published image formula: eight tiles on the model that counts most tokens for each.
IMAGE_TOKENS = 50_000

_DENSE_BYTES = bytes((*range(0x30, 0x3A), *range(0x80, 0x100), *range(9), *range(14, 32), 127))
_LONG_RUN = re.compile(rb"[A-Za-z0-9+/=_-]{40,}")

_IMAGE_TYPES = frozenset({"image", "image_url", "input_image"})
_UNBOUNDED_TYPES = frozenset({"file", "input_file", "document", "audio", "input_audio", "video", "video_url"})


@dataclass(frozen=True, slots=True)
class InputSize:
    """What a request's input is made of, by how its tokens are bounded.

    `allowance` is for what providers add, in tokens, as `images` is; the others are bytes of text. `dense`
    are those that a tokeniser may split to single bytes: digits, whatever is not ASCII, and long runs without
    a break (keys, base64, hashes).
    """

    allowance: int
    images: int
    plain: int
    dense: int

    @property
    def most_tokens(self) -> int:
        """A token a byte."""
        return self.allowance + self.images + self.plain + self.dense

    def tokens_at(self, ppm: int) -> int:
        """With so many tokens in a million bytes of plain text."""
        return self.allowance + self.images + self.dense + ceil_divide(self.plain * ppm, PRICED_TOKENS)


def input_size(
    messages: Sequence[Mapping[str, object]], tools: Sequence[Mapping[str, object]] | None = None
) -> InputSize:
    """The parts of `input_token_bound`, for what was learnt of a model. Raises UnboundedInput alike."""
    texts: list[str] = []
    allowance, images = REQUEST_TOKENS + MESSAGE_TOKENS * len(messages), 0
    for message in messages:
        images += _collect(dict(message), texts)
    if tools:
        allowance += TOOLS_TOKENS + MESSAGE_TOKENS * len(tools)
        texts += [_json(tool) for tool in tools]
    text = b"\n".join(_utf8(each) for each in texts)
    long_runs = _LONG_RUN.findall(text)
    rest = _LONG_RUN.sub(b"", text) if long_runs else text
    dense = sum(map(len, long_runs)) + len(rest) - len(rest.translate(None, _DENSE_BYTES))
    breaks = max(0, len(texts) - 1)
    return InputSize(allowance, images * IMAGE_TOKENS, len(text) - breaks - dense, dense)


def input_token_bound(
    messages: Sequence[Mapping[str, object]], tools: Sequence[Mapping[str, object]] | None = None
) -> int:
    """The most prompt tokens a request of role/content `messages` and function `tools` can be billed.

    Raises UnboundedInput for documents, audio and video.
    """
    bound = REQUEST_TOKENS + sum(MESSAGE_TOKENS + _bound(dict(message)) for message in messages)
    if tools:
        bound += TOOLS_TOKENS + sum(MESSAGE_TOKENS + _json_bytes(tool) for tool in tools)
    return bound


def worst_case_micro_usd(
    prices: TokenPrices, input_tokens: int, max_tokens: int, *, writes_cache: bool = False
) -> int:
    """The most an attempt can cost, in micro-dollars, at the dearest rates it can reach.

    `max_tokens` must be sent to the provider and include thinking. Raises UnknownPrice.
    """
    if min(input_tokens, max_tokens) < 0:
        raise ValueError("token counts are not negative")
    input_rate, output_rate = _dearest(prices, input_tokens, writes_cache=writes_cache)
    return prices.request_micro_usd + ceil_divide(
        input_tokens * input_rate + max_tokens * output_rate, PRICED_TOKENS
    )


def affordable_max_tokens(
    prices: TokenPrices,
    input_tokens: int,
    wanted_tokens: int,
    left_micro_usd: int | None,
    *,
    writes_cache: bool = False,
) -> int:
    """The largest `max_tokens` up to `wanted_tokens` whose worst case fits `left_micro_usd`; 0 when none
    does.

    It is applied before the call and sent to the provider, so the bound stays a bound: a reservation is never
    made smaller than the worst case. Raises UnknownPrice.
    """
    input_rate, output_rate = _dearest(prices, input_tokens, writes_cache=writes_cache)
    if left_micro_usd is None:
        return wanted_tokens
    room = (left_micro_usd - prices.request_micro_usd) * PRICED_TOKENS - input_tokens * input_rate
    if room < 0:
        return 0
    return wanted_tokens if output_rate == 0 else min(wanted_tokens, room // output_rate)


def _dearest(prices: TokenPrices, input_tokens: int, *, writes_cache: bool) -> tuple[int, int]:
    tiers = prices.reachable(input_tokens)
    return max(tier.dearest_input(writes_cache=writes_cache) for tier in tiers), max(
        tier.output for tier in tiers
    )


def _bound(value: object) -> int:
    """Tokens of a message or of a part of one."""
    match value:
        case {"type": str(kind)} if kind in _UNBOUNDED_TYPES:
            raise UnboundedInput(f"a message part of type {kind} has no known upper bound of tokens")
        case {"type": str(kind)} if kind in _IMAGE_TYPES:
            return IMAGE_TOKENS
        case dict():
            return sum(_json_bytes(key) + _bound(part) for key, part in value.items())
        case list() | tuple():
            return sum(_bound(part) for part in value)
        case str():
            return len(_utf8(value))
        case _:
            return _json_bytes(value)


def _collect(value: object, texts: list[str]) -> int:
    """The texts that `_bound` counts, added to `texts`; returns the number of images."""
    match value:
        case {"type": str(kind)} if kind in _UNBOUNDED_TYPES or kind in _IMAGE_TYPES:
            return _bound(value) // IMAGE_TOKENS
        case dict():
            texts += map(_json, value)
            return sum(_collect(part, texts) for part in value.values())
        case list() | tuple():
            return sum(_collect(part, texts) for part in value)
        case _:
            texts.append(value if isinstance(value, str) else _json(value))
            return 0


def _json_bytes(value: object) -> int:
    return len(_utf8(_json(value)))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")

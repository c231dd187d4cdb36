"""Tool-call ids that a form forbids -> ids that it takes, the same one for a call and for its answer.

An id is rewritten when it has the wrong shape, and when an earlier call has it already: small servers number
the calls of every answer from zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256

from engine.providers.parts import Part, ToolUse, Turn

ANY = re.compile(r"[\x21-\x7e]{1,40}")
"""What OpenAI and Ollama take."""

ANTHROPIC = re.compile(r"[A-Za-z0-9_-]{1,128}")
MISTRAL = re.compile(r"[A-Za-z0-9]{9}")

_CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def with_ids(turns: Iterable[Turn], form: re.Pattern[str]) -> tuple[Turn, ...]:
    """The same turns with ids of this form. An answer keeps to the last call before it that had its id."""
    now: dict[str, str] = {}
    taken: set[str] = set()
    return tuple(_turn(turn, form, now, taken) for turn in turns)


def _turn(turn: Turn, form: re.Pattern[str], now: dict[str, str], taken: set[str]) -> Turn:
    if turn.tool_call_id is not None:
        told = turn.tool_call_id
        return replace(turn, tool_call_id=now.get(told) or _fitting(told, form, set()))
    if not turn.tool_calls:
        return turn
    parts: list[Part] = []
    for part in turn.parts:
        if isinstance(part, ToolUse):
            told = part.call["id"]
            fitting = now[told] = _fitting(told, form, taken)
            taken.add(fitting)
            if fitting != told:
                call = part.call.copy()
                call["id"] = fitting
                part = replace(part, call=call)
        parts.append(part)
    return replace(turn, parts=tuple(parts))


def _fitting(told: str, form: re.Pattern[str], taken: set[str]) -> str:
    """The id itself where it may stand, else one made from it alone: the next request makes the same."""
    made, tries = told, 0
    while not form.fullmatch(made) or made in taken:
        number = int.from_bytes(sha256(f"{tries}:{told}".encode("utf-8", "replace")).digest()[:16], "big")
        made = ""
        for _ in range(9):
            number, place = divmod(number, len(_CHARACTERS))
            made += _CHARACTERS[place]
        tries += 1
    return made

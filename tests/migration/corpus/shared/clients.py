"""Clients made once, used by the other files of the package."""
from anthropic import AsyncAnthropic
from openai import OpenAI

claude = AsyncAnthropic()
_gpt = None
DEFAULT_MODEL = "claude-sonnet-4-5"


def gpt() -> "OpenAI":
    global _gpt
    if _gpt is None:
        _gpt = OpenAI()
    return _gpt

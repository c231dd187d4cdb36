import logging
import os

logger = logging.getLogger(__name__)
_client = None


def _get_client():
    global _client
    if _client is not None:
        return _client
    key = os.environ.get("ANTHROPIC_API_KEY")
    if not key:
        return None
    try:
        import anthropic

        _client = anthropic.Anthropic(api_key=key)
    except ImportError:
        logger.warning("no anthropic")
        return None
    return _client


def _call(system, user, max_tokens=600):
    client = _get_client()
    if client is None:
        return None
    try:
        msg = client.messages.create(  #= anthropic claude-opus-4-5 600
            model="claude-opus-4-5",
            max_tokens=max_tokens,
            system=system,
            messages=[{"role": "user", "content": user}],
        )
        return msg.content[0].text.strip()
    except Exception as error:
        logger.debug("failed: %s", error)
        return None


class Monitor:
    def verdict(self, agent, report):
        if getattr(agent, "_client", None) is not None:
            return agent._client.messages.create(model=agent.model, max_tokens=400, messages=[{"role": "user", "content": report}])  #= anthropic - 400 shape
        return None

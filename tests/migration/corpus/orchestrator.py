"""The application makes the client and passes it down."""
import os

from anthropic import AsyncAnthropic


class PlannerAgent:
    def __init__(self, anthropic_client):
        self.client = anthropic_client

    async def plan(self, goal):
        response = await self.client.messages.create(  #= anthropic claude-3-opus-20240229 4000 async type=planning
            model="claude-3-opus-20240229", max_tokens=4000, messages=[{"role": "user", "content": goal}]
        )
        return response.content[0].text


class OrchestraOrchestrator:
    def __init__(self, anthropic_client, redis_url):
        self.redis_url = redis_url
        self.agent = PlannerAgent(anthropic_client)


anthropic_client = AsyncAnthropic(api_key=os.getenv("ANTHROPIC_API_KEY"))
orchestrator = OrchestraOrchestrator(anthropic_client, "redis://localhost")

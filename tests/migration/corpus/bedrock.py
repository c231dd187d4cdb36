from anthropic import AnthropicBedrock, AsyncAnthropicVertex

bedrock = AnthropicBedrock(aws_region="eu-central-1")
vertex = AsyncAnthropicVertex(region="europe-west1", project_id="x")


def ask(text):
    return bedrock.messages.create(  #= anthropic anthropic.claude-3-5-sonnet-20241022-v2:0 256
        model="anthropic.claude-3-5-sonnet-20241022-v2:0", max_tokens=256, messages=[{"role": "user", "content": text}]
    )


async def think(text):
    return await vertex.beta.messages.create(  #= anthropic claude-sonnet-4@20250514 16000 async
        model="claude-sonnet-4@20250514",
        max_tokens=16000,
        thinking={"type": "enabled", "budget_tokens": 8000},
        messages=[{"role": "user", "content": text}],
    )

from anthropic import AsyncAnthropic

anthropic = AsyncAnthropic()


async def simple(messages):
    response = await anthropic.messages.create(model="claude-3-sonnet", messages=messages)  #= anthropic claude-3-sonnet - async type=qa
    return response


async def use_tools(messages, tools):
    response = await anthropic.messages.create(  #= anthropic claude-3-sonnet - async tools type=routing
        model="claude-3-sonnet",
        messages=messages,
        tools=tools,
    )
    return response


async def make_plan(messages):
    response = await anthropic.messages.create(  #= anthropic claude-3-sonnet 4000 async type=planning
        model="claude-3-sonnet",
        max_tokens=4000,
        messages=messages,
    )
    return response

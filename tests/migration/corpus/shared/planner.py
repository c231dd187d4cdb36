from .clients import DEFAULT_MODEL, claude, gpt


async def plan_trip(goal):
    answer = await claude.messages.create(  #= anthropic claude-sonnet-4-5 4000 async type=planning
        model=DEFAULT_MODEL, max_tokens=4000, messages=[{"role": "user", "content": goal}]
    )
    return answer.content[0].text


def check(goal):
    return gpt().chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": goal}])  #= openai gpt-4o -

from functools import lru_cache

from anthropic import AsyncAnthropic
from fastapi import Depends, FastAPI
from pydantic import BaseModel
from pydantic_settings import BaseSettings

app = FastAPI()


class Settings(BaseSettings):
    anthropic_api_key: str = ""
    model: str = "claude-3-7-sonnet-latest"
    max_tokens: int = 2048


@lru_cache
def get_settings() -> Settings:
    return Settings()


@lru_cache
def get_client() -> AsyncAnthropic:
    return AsyncAnthropic(api_key=get_settings().anthropic_api_key)


class Question(BaseModel):
    text: str


@app.post("/summary")
async def summarize(
    question: Question,
    client: AsyncAnthropic = Depends(get_client),
    settings: Settings = Depends(get_settings),
):
    reply = await client.messages.create(  #= anthropic claude-3-7-sonnet-latest 2048 async type=summarization
        model=settings.model,
        max_tokens=settings.max_tokens,
        messages=[{"role": "user", "content": question.text}],
    )
    return {"summary": reply.content[0].text}


@app.post("/raw")
async def raw(question: Question, client=Depends(get_client)):
    reply = await client.messages.create(  #= anthropic claude-3-opus-20240229 100 async
        model="claude-3-opus-20240229", max_tokens=100, messages=[{"role": "user", "content": question.text}]
    )
    return reply

import os

from openai import AsyncAzureOpenAI, AzureOpenAI


def client() -> AzureOpenAI:
    return AzureOpenAI(azure_endpoint=os.environ["AZURE_OPENAI_ENDPOINT"], api_version="2024-06-01")


def extract_invoice(text):
    return client().chat.completions.create(  #= openai my-deployment 1500 type=extraction
        model="my-deployment", max_completion_tokens=1500, messages=[{"role": "user", "content": text}]
    )


class Extractor:
    client = AsyncAzureOpenAI()

    async def run(self, text):
        return await self.client.chat.completions.create(  #= openai my-deployment - async
            model="my-deployment", messages=[{"role": "user", "content": text}]
        )

from anthropic import Anthropic
from openai import OpenAI

client = OpenAI()
claude = Anthropic()

client.embeddings.create(model="text-embedding-3-large", input="x")
client.images.generate(model="dall-e-3", prompt="a cat")
client.audio.transcriptions.create(model="whisper-1", file=open("a.mp3", "rb"))
client.models.list()
claude.messages.count_tokens(model="claude-3-haiku", messages=[])
claude.messages.batches.create(requests=[])

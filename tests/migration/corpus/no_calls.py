"""Nothing here asks a model: other services with the same words, strings, comments, other vendors."""
from unittest.mock import AsyncMock, MagicMock

import groq
from google import genai
from twilio.rest import Client

sms = Client("sid", "token")
sms.messages.create(body="hi", from_="+1", to="+2")

vendor = groq.Groq()
vendor.chat.completions.create(model="llama-3.1-8b-instant", messages=[])

genai.Client().models.generate_content(model="gemini-2.0-flash", contents="hi")

fake = MagicMock()
fake.messages.create(model="claude", messages=[])
fake_async = AsyncMock()
fake_async.chat.completions.create.return_value = None

EXAMPLE = """
client = anthropic.Anthropic()
client.messages.create(model="claude-3", messages=[])
"""
# client.chat.completions.create(model="gpt-4o", messages=[])


class Messages:
    def create(self, model, messages):
        return model, messages


class Store:
    def __init__(self):
        self.messages = Messages()


Store().messages.create(model="table", messages=["row"])


def completion(model, messages):
    return model


completion(model="shoe", messages=[])

import json

from openai import OpenAI

TOOLS = [
    {
        "type": "function",
        "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
]


class WeatherAgent:
    def __init__(self):
        self.llm = OpenAI(base_url="https://api.openai.com/v1")
        self.history = []

    def step(self, text):
        self.history.append({"role": "user", "content": text})
        while True:
            reply = self.llm.chat.completions.create(model="gpt-4o", messages=self.history, tools=TOOLS, tool_choice="auto")  #= openai gpt-4o - tools type=routing
            message = reply.choices[0].message
            if not message.tool_calls:
                return message.content
            for call in message.tool_calls:
                self.history.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps({"sunny": True})})

    def final(self):
        return self.llm.chat.completions.create(model="gpt-4o", messages=self.history, tools=None)  #= openai gpt-4o -

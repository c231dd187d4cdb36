"""What no reading of the text can know for sure; what is missed here is counted in the recall."""
from openai import OpenAI

client = OpenAI()

getattr(client.chat.completions, "create")(model="gpt-4o", messages=[])  #= openai gpt-4o -


def decorated(function):
    def inner(text):
        return function(client, text)

    return inner


@decorated
def ask(api, text):
    return api.responses.create(input=text, **{"model": "gpt-4o"})  #= openai gpt-4o - shape


for make in [OpenAI]:
    make().chat.completions.create(model="gpt-4o-mini", messages=[])  #= openai gpt-4o-mini -

setattr(client, "ask", client.chat.completions.create)
client.ask(model="gpt-4o", messages=[])  #= openai gpt-4o -

eval("client.chat.completions.create(model='gpt-4o', messages=[])")  #= openai gpt-4o -

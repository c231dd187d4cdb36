"""A name is what it was last made."""
import stripe
from openai import OpenAI

client = OpenAI()
first = client.chat.completions.create(model="gpt-4o", messages=[])  #= openai gpt-4o -
client = stripe.StripeClient("key")
second = client.customers.create(email="a@b.c")


def shadow(client):
    return client.completions.create(name="not a model")


def local():
    client = open("file")
    return client.read()

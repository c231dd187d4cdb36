import streamlit as st
from flask import Flask, current_app, g
from openai import OpenAI

if "client" not in st.session_state:
    st.session_state.client = OpenAI()

app = Flask(__name__)
app.llm = OpenAI()


def complete(messages):
    return st.session_state.client.chat.completions.create(model=st.session_state["model"], messages=messages, stream=True)  #= openai - - stream shape


@app.route("/")
def index():
    return current_app.llm.chat.completions.create(model="gpt-4o", messages=[]).choices[0].message.content  #= openai gpt-4o - shape


@app.route("/g")
def other():
    if "client" not in g:
        g.client = OpenAI()
    return g.client.responses.create(model="gpt-4.1", input="hi").output_text  #= openai gpt-4.1 - shape

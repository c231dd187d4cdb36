"""A script as most begin."""
import os
import sys

import anthropic

client = anthropic.Anthropic(api_key=os.environ["ANTHROPIC_API_KEY"])

SYSTEM = "You are terse."
MODEL = "claude-3-5-haiku-latest"


def main():
    question = " ".join(sys.argv[1:])
    message = client.messages.create(  #= anthropic claude-3-5-haiku-latest 512
        model=MODEL,
        max_tokens=512,
        system=SYSTEM,
        messages=[{"role": "user", "content": question}],
    )
    print(message.content[0].text)


if __name__ == "__main__":
    main()

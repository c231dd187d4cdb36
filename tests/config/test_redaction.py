"""Secrets in YAML files."""

import pytest

from engine.config.redaction import without_secrets
from engine.language.rendering import render
from engine.language.source import Source

from .loading import load, one_model

SECRETS = [
    "sk-ant-api03-AbCdEf0123456789",
    "sk-proj-abcdefghijklmn0123456789",
    "gsk_abcdefghijklmnopqrst0123",
    "hf_abcdefghijklmnopqrst",
    "AKIAIOSFODNN7EXAMPLE",
    "4f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "key", ["api_key", "api_key_env", '"api_key"', "OPENAI_API_KEY", "auth_token", "password"]
)
@pytest.mark.parametrize("quote", ["", '"', "'"])
def test_a_key_in_the_file_is_an_error_that_never_prints_it(secret: str, key: str, quote: str) -> None:
    """Neither the message nor the line shown below it holds any eight characters of it."""
    models = one_model("", "openai", f"type: cloud\n    {key}: {quote}{secret}{quote} # mine")
    found = load(models).found
    assert "secret-in-file" in [each.slug for each in found]
    printed = "\n".join(render(each) for each in found) + repr(found)
    assert not any(secret[start : start + 8] in printed for start in range(len(secret) - 7))


@pytest.mark.parametrize(
    "text",
    [
        "api_key: {secret}\nx: [unclosed\n",
        "x: {{api_key: {secret}, y: [}}\n",
        "# Authorization: Bearer {secret}\nx: @\n",
        "x: api_key: {secret}\n",
        "api_key: |\n    {secret}\n  y: z: 1\n",
        "base_url: https://user:{secret}@example.org/?key={secret}\n{{\n",
    ],
)
def test_broken_yaml_does_not_print_it_either(text: str) -> None:
    """The finding of a syntax error shows the author's line, without what stands in it."""
    secret = "sk-ant-api03-AbCdEf0123456789"
    printed = "\n".join(render(each) for each in load(text.format(secret=secret)).found)
    assert "AbCdEf01" not in printed


@pytest.mark.parametrize(
    "written",
    [
        "api_key: abc}TAIL99",
        "api_key: abc#TAIL99",
        "api_key: [abc, TAIL99]",
        "api_keys: [abc, TAIL99]",
        "api_keys:\n    - abc\n    - TAIL99",
        "private_key: |\n      -----BEGIN\n      TAIL99",
        "private-keys: TAIL99",
        "password: 'it''s TAIL99'",
        "secrets: {a: TAIL99}",
        "token: >-\n      TAIL99\n\n      TAIL99",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_value_is_blanked_to_its_end(written: str, end: str) -> None:
    """Whatever stands in it or around it, to the end of the line and of the block."""
    models = one_model("", "openai", f"type: cloud\n    {written}").replace("\n", end)
    printed = "\n".join(render(each) + repr(each) for each in load(models).found)
    assert "TAIL99" not in printed
    assert "TAIL99" not in without_secrets(Source("models.yaml", models)).text


@pytest.mark.parametrize(
    "written",
    [
        "api_key: ${OPENAI_API_KEY}",
        "api_key: os.environ/OPENAI_API_KEY",
        "input_cost_per_token: 0.000004",
        "output_cost_per_token: 1.5e-05",
        "api_key_env: OPENAI_API_KEY # the team's",
        "{api_key_env: OPENAI_API_KEY, base_url: x}",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_price_and_the_name_of_a_variable_are_no_secrets(written: str, end: str) -> None:
    """CRLF is a line end and no part of a name."""
    source = Source("models.yaml", f"a: b{end}{written}{end}c: d{end}")
    assert without_secrets(source) is source


def test_what_stands_behind_a_flow_mapping_is_left() -> None:
    """The brackets that were open before the key close behind it."""
    source = Source("models.yaml", "a: {api_key: abc}\nb: c\n")
    assert without_secrets(source).text == "a: {api_key: ███}\nb: c\n"


def test_a_secret_in_an_address_is_an_error() -> None:
    """`http://user:password@host` is one."""
    found = load(one_model("", "ollama", "type: local\n    base_url: http://me:geheim@localhost:1")).found
    assert [each.slug for each in found] == ["secret-in-file"]
    assert "geheim" not in render(found[0])


def test_places_stay_where_they_were() -> None:
    """A blanked text has the same length and the same lines."""
    text = "a: 1\napi_key: 'sk-ant-api03-AbCdEf0123456789'\nb: 2\n"
    blanked = without_secrets(Source("x", text)).text
    assert len(blanked) == len(text)
    assert blanked.splitlines()[2] == "b: 2"


@pytest.mark.parametrize(
    "text",
    [
        "api_key_env: ANTHROPIC_API_KEY",
        "api_key_env: MY_KEY_2 # the second one",
        "base_url_env: ollama_url",
        "labels: [pii, secret, customer-data]",
        "id: claude-haiku-5-5",
        "base_url: http://localhost:11434/v1?x=1",
        "display_name: either-or-something-like-it",
        "max_tokens: 100",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """Names of variables, labels, ids and addresses are not touched."""
    source = Source("x", text)
    assert without_secrets(source) is source

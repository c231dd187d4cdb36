"""The JSON Schemas that editors and the engine share."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from engine.bundled import bundled_text

SCHEMAS = ("models.schema.json", "policies.schema.json")


def schema(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(bundled_text("schemas", name))
    return read


def objects(part: Any) -> Iterator[dict[str, Any]]:
    """Every subschema."""
    if isinstance(part, dict):
        yield part
        for member in part.values():
            yield from objects(member)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid(name: str) -> None:
    """Draft 2020-12, as it says."""
    Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_refers_to_nothing_outside_itself(name: str) -> None:
    """No network, no other file, and no reference that leads nowhere."""
    read = schema(name)
    for part in objects(read):
        if "$ref" in part:
            head, _, defined = part["$ref"].rpartition("/")
            assert head == "#/$defs"
            assert defined in read["$defs"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_mapping_is_closed(name: str) -> None:
    """An unknown key is an error wherever keys are fixed."""
    for part in objects(schema(name)):
        if isinstance(part.get("properties"), dict) and "title" not in part["properties"]:
            assert part.get("additionalProperties") is False


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_key_is_explained(name: str) -> None:
    """Editors show title and description while one types."""
    read = schema(name)
    for part in objects(read):
        for key, member in part.get("properties", {}).items():
            meaning = {**read["$defs"].get(member.get("$ref", "").rpartition("/")[2], {}), **member}
            assert "title" in meaning or key in ("cost", "quality", "latency"), key


@pytest.mark.parametrize("name", SCHEMAS)
def test_no_keyword_compares_members_with_each_other(name: str) -> None:
    """`uniqueItems` takes quadratic time on mixed members; repetition is reported elsewhere."""
    assert not any("uniqueItems" in part for part in objects(schema(name)))


def test_jsonschema_is_loaded_with_the_first_folder_and_not_before() -> None:
    """Importing the wing is cheap."""
    code = (
        "import sys; import engine.config.settings, engine.config.folder, engine.config.lowering;"
        "assert 'jsonschema' not in sys.modules;"
        "from engine.config.folder import read_folder; from engine.bundled import bundled_path;"
        "assert 'jsonschema' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)

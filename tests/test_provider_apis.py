"""The table of APIs: what each row promises, and that a row added to it is honoured everywhere."""

from __future__ import annotations

import ast
import importlib.util
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

from engine.bundled import bundled_text
from engine.cli import main
from engine.config.catalogue import Provider
from engine.environment import Environment
from engine.execution.provider_factory import (
    address_of,
    make_provider,
    missing_variable,
    target_of,
)
from engine.provider_apis import APIS, ProviderApi, SdkPackage, sdk_packages
from engine.providers.base import Egress, Health, Permit, Target
from engine.providers.errors import EgressRefused
from engine.providers.scripted import ScriptedProvider
from engine.providers.wire_provider import WireProvider
from tests.config.loading import Loaded, load, one_model
from tests.providers.dialects import asked

ROOT = Path(__file__).parents[1]
PRICED = "cost_profile: {input_per_1m: 1, output_per_1m: 1}"
ROWS = list(APIS.values())
VENDORS = [row for row in ROWS if row.vendor_url]


class AcmeProvider(ScriptedProvider):
    """The adapter of an API that exists in this test only."""

    def __init__(self, target: Target, *, api_key: Any, clock: Any) -> None:
        super().__init__(target, health=Health("up", latency_s=0.0, version="acme 1"))
        self.key = api_key


def acme(**more: Any) -> ProviderApi:
    """Its row; without `more` it has no default address."""
    return ProviderApi(name="acme", title="Acme", adapter=f"{__name__}:AcmeProvider", **more)


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> ProviderApi:
    """The table with a fourth row, which allows no default address."""
    row = acme()
    monkeypatch.setitem(APIS, row.name, row)  # type: ignore[arg-type]
    return row


@pytest.fixture
def added_vendor(monkeypatch: pytest.MonkeyPatch) -> ProviderApi:
    """The table with a fourth row, which allows its vendor's address and has a key and a package."""
    row = acme(
        vendor_url="https://acme.invalid/v1", vendor_key_env="ACME_API_KEY", sdk=SdkPackage("acme_sdk", 1, 2)
    )
    monkeypatch.setitem(APIS, row.name, row)  # type: ignore[arg-type]
    return row


def of(name: str, lines: str) -> Loaded:
    return load(one_model(PRICED if "cloud" in lines else "", name, lines))


def provider(name: str, lines: str) -> Provider:
    loaded = of(name, lines)
    assert (loaded.slugs, loaded.catalogue is not None) == ([], True)
    assert loaded.catalogue is not None
    return loaded.catalogue.providers[0]


# --- What every row promises ------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize(
    ("named", "locality"), [(True, "cloud"), (True, "local"), (False, "cloud"), (False, "local")]
)
def test_a_provider_without_an_address_is_refused_unless_its_row_allows_it(
    row: ProviderApi, named: bool, locality: str
) -> None:
    """Only this machine's own server, and the vendor for whoever is named after it, go without an address."""
    allowed = row.local_url is not None or (row.vendor_url is not None and named and locality == "cloud")
    name = row.name if named else "elsewhere"
    found = of(name, f"type: {locality}\n    api: {row.name}").slugs
    assert found == ([] if allowed else ["missing-key"])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_is_guessed_from_the_name_is_held_to_the_same(row: ProviderApi) -> None:
    """`openai: {type: local}` without `api:` does not mean the vendor either."""
    found = of(row.name, "type: local").slugs
    assert found == ([] if row.local_url else ["missing-key"])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_names_an_adapter_that_exists(row: ProviderApi) -> None:
    """`adapter` leads to a provider over the guarded transport, which knows the same vendor."""
    adapter = resolve_name(row.adapter)
    assert issubclass(adapter, WireProvider)
    assert adapter.vendor_host == row.vendor_host


@pytest.mark.parametrize("row", VENDORS, ids=lambda row: row.name)
def test_a_vendors_key_goes_to_the_vendors_address_only(row: ProviderApi) -> None:
    """Another server of the same API is not handed the vendor's key."""
    at_vendor = provider(row.name, "type: cloud")
    elsewhere = provider(row.name, "type: cloud\n    base_url: https://elsewhere.invalid/v1")
    assert (at_vendor.key_variable, elsewhere.key_variable) == (row.vendor_key_env, None)


@pytest.mark.parametrize("row", VENDORS, ids=lambda row: row.name)
async def test_an_address_variable_that_is_not_set_sends_nothing_to_the_vendor(row: ProviderApi) -> None:
    """The provider waits for its variable; even when it is called all the same, its target is refused."""
    configured = provider("elsewhere", f"type: cloud\n    api: {row.name}\n    base_url_env: OUR_URL")
    environment = Environment.read({str(row.vendor_key_env): "key"})
    assert address_of(configured, environment) is None
    assert missing_variable(configured, environment) == "OUR_URL"
    target = target_of(configured, environment, "sha256:policy")
    made = make_provider(configured, target, environment, lambda: 0.0)
    with pytest.raises(EgressRefused, match="its address is not taken: it is empty"):
        await made.complete(asked(target))
    await made.aclose()


def test_a_default_address_is_on_this_machine() -> None:
    """A row cannot call a vendor's address local."""
    with pytest.raises(ValueError, match="acme: `local_url` is not on this machine"):
        acme(local_url="https://acme.invalid/v1")


def test_the_schema_lists_the_rows_for_editors() -> None:
    """`docs/generate.py` writes them into the file."""
    schema = json.loads(bundled_text("schemas", "models.schema.json"))
    assert schema["$defs"]["provider"]["properties"]["api"]["enum"] == list(APIS)


def test_the_packages_are_those_the_project_depends_on() -> None:
    """The range that `engine doctor` asks for is the one in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {f"{sdk.name}>={sdk.first},<{sdk.beyond}" for sdk in sdk_packages().values()} <= set(
        project["dependencies"]
    )


# --- A row that exists in this test only ------------------------------------------------------------------


@pytest.mark.usefixtures("added")
def test_the_catalogue_takes_a_new_api_and_demands_its_address() -> None:
    """The schema knows the name, the name of a provider suggests it, and there is no silent default."""
    assert provider("x", "type: cloud\n    api: acme\n    base_url: https://x.invalid").api == "acme"
    assert provider("acme-eu", "type: local\n    base_url: http://127.0.0.1:1").api == "acme"
    (found,) = of("acme", "type: cloud").found
    assert (found.slug, found.message) == (
        "missing-key",
        "`acme` has no address, and `api: acme` has none by itself",
    )


@pytest.mark.usefixtures("added")
def test_a_finding_offers_the_new_api() -> None:
    """The help of `api_needed` is made from the rows."""
    (found,) = of("somebody", "type: cloud").found
    assert "`api: acme`" in str(found.help)


@pytest.mark.usefixtures("added_vendor")
def test_a_new_vendor_is_only_for_those_named_after_it() -> None:
    """Its own address for `acme`, a finding for everybody else."""
    empty = Environment.read({})
    assert address_of(provider("acme", "type: cloud"), empty) == "https://acme.invalid/v1"
    assert missing_variable(provider("acme", "type: cloud"), empty) == "ACME_API_KEY"
    (found,) = of("elsewhere", "type: cloud\n    api: acme").found
    assert found.message == "`elsewhere` has no address, so its requests would go to acme's own"


@pytest.mark.usefixtures("added_vendor")
def test_the_factory_makes_the_new_provider() -> None:
    """Its own adapter, with the key of its own variable."""
    configured, environment = provider("acme", "type: cloud"), Environment.read({"ACME_API_KEY": "secret"})
    target = target_of(configured, environment, "sha256:policy")
    assert target == Target("acme", "https://acme.invalid/v1", Egress.CLOUD, "sha256:policy")
    made = make_provider(configured, target, environment, lambda: 0.0)
    assert isinstance(made, AcmeProvider)
    assert made.key.reveal() == "secret"


@pytest.mark.usefixtures("added_vendor")
def test_the_transport_silences_the_new_vendors_package() -> None:
    """What its SDK logs during a call can hold the prompt."""
    import logging

    from engine.providers.http_exchange import Call
    from engine.providers.transport import _hush

    heard: list[logging.LogRecord] = []
    logger = logging.getLogger("acme_sdk")
    handler = logging.Handler()
    handler.emit = heard.append  # type: ignore[method-assign]
    logger.addHandler(handler)
    _hush()
    with Call(Permit("acme", Egress.CLOUD, "sha256:policy"), 1.0).in_force():
        logger.warning("a prompt")
    assert heard == []
    logger.warning("no call is in force")
    assert len(heard) == 1


@pytest.mark.usefixtures("added_vendor")
@pytest.mark.parametrize(
    ("key", "line"),
    [
        (None, "cloud: acme is left out (ACME_API_KEY is not set)"),
        (
            "secret",
            (
                "cloud: acme is left out (ACME_API_KEY is set; no model of it is known here:"
                " list those you use in models.yaml)"
            ),
        ),
    ],
)
def test_init_speaks_of_the_new_vendor(
    key: str | None,
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its key is looked for, and the folder is written whole whether it is set or not."""
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://127.0.0.1:9")
    if key is not None:
        monkeypatch.setenv("ACME_API_KEY", key)
    assert main(["init", str(tmp_path / "made")]) == 0
    assert line in capsys.readouterr().out.splitlines()
    assert main(["lint", str(tmp_path / "made")]) == 0


@pytest.fixture
def acme_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A policy folder whose only provider speaks the new API."""
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "models.yaml").write_text(one_model(PRICED, "acme", "type: cloud"), encoding="utf-8")
    monkeypatch.setenv("ENGINE_STATE_DIR", str(tmp_path / "state"))
    return folder


@pytest.mark.usefixtures("added_vendor")
def test_doctor_asks_for_the_new_key_and_package(
    acme_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both are named, with what to do."""
    main(["doctor", "--config", str(acme_folder), "--format", "json"])
    seen = {(check["verdict"], check["seen"]) for check in json.loads(capsys.readouterr().out)["checks"]}
    assert ("fail", "acme: ACME_API_KEY is not set, so it counts as down") in seen
    assert ("fail", "acme_sdk is not installed") in seen


@pytest.mark.usefixtures("added_vendor")
def test_health_and_models_show_the_new_provider(
    acme_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without its key it is misconfigured, with it its adapter is asked."""
    assert main(["health", "--config", str(acme_folder), "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["providers"]["acme"]["error"] == "ACME_API_KEY is not set"
    monkeypatch.setenv("ACME_API_KEY", "secret")
    assert main(["health", "--config", str(acme_folder), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["providers"]["acme"]["version"] == "acme 1"
    assert main(["models", "--config", str(acme_folder), "--live", "--format", "json"]) == 0
    (model,) = json.loads(capsys.readouterr().out)["models"]
    assert (model["provider"], model["eligible"]) == ("acme", True)


@pytest.mark.usefixtures("added_vendor")
def test_the_pages_and_the_schema_are_made_from_the_rows() -> None:
    """The new row is in the table of docs/folders.md, and its name in the schema's list."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert "| `acme` | Acme | `https://acme.invalid/v1`, for" in generate.provider_apis()
    schema = json.loads(generate.models_schema(bundled_text("schemas", "models.schema.json")))
    assert "acme" in schema["$defs"]["provider"]["properties"]["api"]["enum"]


# --- Nobody names an API beside the table -----------------------------------------------------------------


def _strings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_no_module_names_an_api_but_its_own_adapter() -> None:
    """What knows three APIs by name would forget the fourth. `engine init` knows the one server it looks
    for, and the names that another tool's file has for providers."""
    own = {row.adapter.partition(":")[0].rpartition(".")[2] for row in ROWS}
    known = (
        {row.name for row in ROWS}
        | {row.vendor_key_env for row in ROWS}
        | {row.local_url_env for row in ROWS}
    )
    hosts = tuple(row.vendor_host for row in ROWS if row.vendor_host)
    looks_for_one = {
        "commands/init.py",
        "commands/starter.py",
        "commands/ollama_tags.py",
        "commands/litellm_file.py",
    }
    # The table of fields has a column for each form of request, and reasoning belongs to the form it came in.
    names_forms = {"providers/field_table.py", "providers/messages.py", "config/messages/catalogue.py"}
    naming = set()
    for wing in ("budget", "commands", "config", "decision", "execution", "providers"):
        for path in sorted((ROOT / "engine" / wing).rglob("*.py")):
            name = path.relative_to(ROOT / "engine").as_posix()
            if wing == "providers" and any(path.stem.startswith(one) for one in own):
                continue
            if any(text in known or any(host in text for host in hosts) for text in _strings(path)):
                naming.add(name)
    assert naming == looks_for_one | names_forms

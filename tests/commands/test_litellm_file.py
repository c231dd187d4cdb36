"""`engine init --from litellm FILE`: what is carried over, what is listed, and that no key is ever copied."""

from pathlib import Path

import pytest

from engine.commands.litellm_file import NoLiteLLMFile, read_litellm
from engine.config.folder import folder_in_memory
from engine.language.diagnostics import Level, Problems
from engine.policy import Policy, build
from tests.commands.running import Shell

CONFIG = """\
model_list:
  - model_name: fast
    litellm_params:
      model: openai/gpt-6-luna
      api_key: os.environ/OPENAI_EU_KEY
      rpm: 100
    model_info:
      max_input_tokens: 128000
      input_cost_per_token: 0.0000001
      output_cost_per_token: 0.0000005
      supports_function_calling: true
  - model_name: smart
    litellm_params: {model: claude-opus-5-5, api_key: sk-ant-planted0123456789abcd}
  - model_name: home
    litellm_params: {model: ollama_chat/llama3.1:8b, api_base: "http://localhost:11434"}
  - model_name: ward
    litellm_params: {model: hosted_vllm/meta/llama-4, api_base: "http://vllm:8000/v1", api_key: planted}
  - model_name: bed
    litellm_params: {model: bedrock/anthropic.claude}
router_settings:
  routing_strategy: simple-shuffle
  fallbacks: [{fast: [smart, home]}]
  provider_budget_config: {openai: {budget_limit: 10, time_period: 1d}}
litellm_settings: {request_timeout: 60, max_budget: 200, budget_duration: 30d}
general_settings: {master_key: sk-planted, database_url: "postgresql://u:planted@h/db"}
"""


def policy(text: str = CONFIG) -> Policy:
    problems = Problems()
    files = read_litellm("config.yaml", text).files
    folder = folder_in_memory(
        files["models.yaml"], files["policies.yaml"], {"main.route": files["main.route"]}, problems=problems
    )
    assert folder is not None
    built = build(folder, problems)
    assert built is not None, [each.message for each in problems if each.level is Level.ERROR]
    return built


def test_models_are_carried_over_with_their_window_price_and_tools() -> None:
    """Prices by the token become prices by the million."""
    model = next(each for each in policy().catalogue.models if each.id == "gpt-6-luna")
    assert model.prices is not None
    assert (model.display_name, model.max_context, model.tools) == ("fast", 128_000, "yes")
    assert (str(model.prices.input), str(model.prices.output)) == ("0.1", "0.5")


def test_a_reference_to_a_variable_becomes_its_name() -> None:
    """Where a key is written out, the vendor's usual variable is named instead."""
    keys = {each.name: each.api_key_env for each in policy().catalogue.providers}
    assert keys["openai"] == "OPENAI_EU_KEY"
    assert keys["anthropic"] == "ANTHROPIC_API_KEY"


def test_only_this_machine_counts_as_local() -> None:
    """A host that may be anywhere is a cloud until the author says otherwise."""
    locality = {each.name: each.locality for each in policy().catalogue.providers}
    assert locality == {"openai": "cloud", "anthropic": "cloud", "ollama": "local", "hosted-vllm": "cloud"}


def test_budgets_and_time_limits_are_carried_over() -> None:
    """By provider and in all, of a day and of a month."""
    settings = policy().settings
    assert settings.budgets.daily.per_provider == {"openai": 10}
    assert settings.budgets.monthly.total_usd == 200
    assert settings.timeouts.default_s == 60


def test_no_key_is_ever_copied_or_printed() -> None:
    """Neither into a file nor into the list, whatever it looks like."""
    carried = read_litellm("config.yaml", CONFIG)
    assert "planted" not in "".join((*carried.files.values(), *carried.left))


@pytest.mark.parametrize(
    "what", ["rpm", "routing_strategy", "bedrock", "fast", "master_key", "database_url", "api_key"]
)
def test_what_is_left_behind_is_listed(what: str) -> None:
    """In the list, and in the new models.yaml as well."""
    carried = read_litellm("config.yaml", CONFIG)
    assert any(f"`{what}`" in line for line in carried.left)
    assert all(line in carried.files["models.yaml"] for line in carried.left)


def test_a_chain_of_fallbacks_is_shown_as_a_route_to_complete() -> None:
    """By the ids of the models, not by the names they had."""
    rules = read_litellm("config.yaml", CONFIG).files["main.route"]
    assert 'use "gpt-6-luna", then "claude-opus-5-5", then "llama3.1:8b"' in rules


@pytest.mark.parametrize(
    "text", ["a: 1\n", "", "model_list: 3\n", "[", "model_list: [{litellm_params: {}}]\n"]
)
def test_what_is_no_such_file_is_refused(text: str) -> None:
    """Nothing is made of it."""
    with pytest.raises(NoLiteLLMFile):
        read_litellm("config.yaml", text)


def test_the_command_writes_the_folder_and_says_what_is_left(shell: Shell, tmp_path: Path) -> None:
    """Over nothing that is there already."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    asked = ("init", str(tmp_path / "new"), "--from", "litellm", str(tmp_path / "config.yaml"))
    ran = shell(*asked)
    assert ran.code == 0
    assert "not carried over" in ran.out
    assert shell("lint", str(tmp_path / "new")).code == 0
    assert shell(*asked).code == 2


def test_another_tool_is_named_in_the_answer(shell: Shell, tmp_path: Path) -> None:
    """And what can be read."""
    ran = shell("init", str(tmp_path / "new"), "--from", "portkey", "x.yaml")
    assert ran.code == 2
    assert "it can be of: litellm" in ran.err

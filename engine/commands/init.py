"""`engine init`: a working policy folder for what this machine has: models pulled in Ollama, keys that are
set."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engine.commands.loading import COULD_NOT_RUN
from engine.commands.terminal import Terminal
from engine.provider_apis import APIS

if TYPE_CHECKING:
    from engine.commands.starter import Found

SUMMARY = "write a working policy folder for what this machine has"
DESCRIPTION = """Asks Ollama on this machine which models it has, looks which keys are set (never at what they
are), and writes models.yaml, policies.yaml and main.route, with comments. With `--from litellm FILE` it makes
them of a config.yaml of LiteLLM, and lists what could not be carried over. Overwrites nothing."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from",
        dest="source",
        nargs=2,
        metavar=("TOOL", "FILE"),
        help="make the folder of another tool's file: `--from litellm config.yaml`; no key is copied",
    )
    parser.add_argument(
        "folder", nargs="?", default="config", metavar="DIR", help="where to (default: ./config)"
    )


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    folder = Path(arguments.folder)
    if arguments.source is not None:
        tool, file = arguments.source
        return _from_file(tool, file, folder, terminal)
    from engine.commands.ollama_tags import pulled_models
    from engine.commands.starter import Found, starter_files

    found = Found(
        pulled=pulled_models(os.environ.get(APIS["ollama"].local_url_env or "")),
        clouds=tuple(name for name, key in _vendor_keys().items() if os.environ.get(key)),
    )
    files = starter_files(found)
    if not _write(files, folder, terminal):
        return COULD_NOT_RUN
    for line in _summary(found, folder, list(files)):
        terminal.say(line)
    return 0


def _from_file(tool: str, file: str, folder: Path, terminal: Terminal) -> int:
    from engine.commands.litellm_file import NoLiteLLMFile, read_litellm
    from engine.language.diagnostics import visible

    if tool.lower() != "litellm":
        terminal.note(f"engine init: no file of {visible(tool)} can be read; it can be of: litellm")
        return COULD_NOT_RUN
    try:
        carried = read_litellm(file, Path(file).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        terminal.note(f"engine init: {visible(file)} cannot be read: {(reason or 'unknown error').lower()}")
        return COULD_NOT_RUN
    except NoLiteLLMFile as error:
        terminal.note(f"engine init: {error}")
        return COULD_NOT_RUN
    if not _write(carried.files, folder, terminal):
        return COULD_NOT_RUN
    place = visible(str(folder))
    terminal.say(f"wrote {', '.join(carried.files)} to {place}")
    if carried.left:
        terminal.say("")
        terminal.say("not carried over, or guessed (models.yaml begins with this list):")
        for line in carried.left:
            terminal.say(f"  {line}")
    terminal.say("")
    terminal.say(f"next: engine lint {place}")
    return 0


def _write(files: Mapping[str, str], folder: Path, terminal: Terminal) -> bool:
    """Writes the files of a new folder, over nothing that is there. False after saying why not."""
    from engine.language.diagnostics import visible

    there = [name for name in files if (folder / name).exists() or (folder / name).is_symlink()]
    if there:
        verb = "is" if len(there) == 1 else "are"
        terminal.note(
            f"engine init: {', '.join(there)} {verb} in {visible(str(folder))} already; nothing was written"
        )
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            with open(folder / name, "x", encoding="utf-8", newline="\n") as file:
                file.write(text)
    except OSError as error:
        reason = (error.strerror or "unknown error").lower()
        terminal.note(f"engine init: cannot write to {visible(str(folder))}: {reason}")
        return False
    return True


def _vendor_keys() -> dict[str, str]:
    """The variable with the key of each vendor, by the name of its API."""
    return {api.name: api.vendor_key_env for api in APIS.values() if api.vendor_key_env}


def _where() -> str:
    """The address that Ollama was asked at, and whether the environment says so."""
    from engine.language.diagnostics import visible

    api = APIS["ollama"]
    own = os.environ.get(api.local_url_env or "")
    return visible(f"{own} ({api.local_url_env})" if own else f"{api.local_url} (default)")


def _summary(found: "Found", folder: Path, names: list[str]) -> list[str]:
    from engine.commands.starter import default_clouds
    from engine.language.diagnostics import visible

    place = visible(str(folder))
    lines = [f"wrote {', '.join(names)} to {place}", ""]
    if found.pulled:
        pulled = ", ".join(visible(model.name) for model in found.pulled)
        lines.append(f"local: {pulled} (found in Ollama at {_where()})")
    elif found.pulled is None:
        lines.append(
            f"local: Ollama did not answer at {_where()}; three models are listed: start it and pull them, or"
            " list your own"
        )
    else:
        lines.append("local: Ollama has no model yet; three are listed: pull them, or list your own")
    priced = default_clouds()
    for provider, key in _vendor_keys().items():
        has = provider in found.clouds
        state = f"{key} is {'set' if has else 'not set'}"
        if has and provider not in priced:
            state += "; no model of it is known here: list those you use in models.yaml"
        lines.append(
            f"cloud: {provider} is {'included' if has and provider in priced else 'left out'} ({state})"
        )
    option = "" if folder in (Path("config"), Path("policies")) else f" --config {place}"
    shown = "" if option == "" else f" {place}"
    return [
        *lines,
        "",
        f"next: engine explain type=planning criticality=high{option}",
        f"then: engine test{shown} --mutate, which changes of its rules its tests would notice",
    ]

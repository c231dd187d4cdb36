"""Secrets planted in the files of the shipped folders, looked for in everything that is printed.

python -m tests.authors.secrets --planted 1000

Each is planted as an author may: as the value of a key that is for secrets, quoted or not, in a list or a
block, in an address, in a comment of a rule, beside another mistake or alone, with either line end. Prints
each surface that shows one, and exits with 1 when there was any.
"""

import argparse
import string
import sys
from collections.abc import Iterator
from dataclasses import replace
from random import Random

from engine.analysis.linter import lint
from engine.commands.litellm_file import NoLiteLLMFile, read_litellm
from engine.config.folder import PolicyFolder, folder_in_memory
from engine.language.diagnostics import Problems
from engine.language.rendering import render
from engine.policy import build
from tests.authors.folders import SHIPPED, Folder, shipped

_KEYS = ("api_key", "apikey", "token", "password", "secret", "client_secret", "access_key", "private_key")
_PLURAL = ("api_keys", "secrets", "tokens", "credentials")


def secret(random: Random) -> str:
    """Letters and digits, now and then with a sign in it or with the beginning of a vendor's."""
    tail = "".join(random.choices(string.ascii_letters + string.digits, k=24))
    match random.randrange(4):
        case 0:
            return f"sk-{tail}7"
        case 1:
            return f"hf_{tail}9x"
        case 2:
            sign = random.choice("}#]:/+=!&*'")
            return f"{tail[:6]}{sign}{tail[6:]}"
        case _:
            return tail


def planted(random: Random, folder: Folder, text: str) -> Folder:
    """The folder with a secret in one of its YAML files."""
    file = random.choice(["models.yaml", "policies.yaml"])
    key = random.choice(_KEYS)
    line = random.choice(
        [
            f"{key}: {text}",
            f"{key}: '{text.replace(chr(39), chr(39) * 2)}'",
            f'{key}: "{text}"',
            f"{random.choice(_PLURAL[:1])}: [{text}, {text}]",
            f"{key}: |\n        {text}",
            f"base_url: https://user:{text}@example.org/v1",
            f"{{{key}: {text}}}",
            f"api_key_env: {text}",
        ]
    )
    lines = folder.files[file].split("\n")
    at = random.randrange(len(lines) + 1)
    indent = " " * random.choice([0, 2, 4, 8])
    lines[at:at] = [f"{indent}{line}"]
    ending = random.choice(["\n", "\r\n"])
    return replace(folder, files={**folder.files, file: "\n".join(lines).replace("\n", ending)})


def shown(folder: Folder) -> Iterator[tuple[str, str]]:
    """Each surface with what it prints of the folder."""
    problems = Problems()
    routes = {name: text for name, text in folder.files.items() if name.endswith(".route")}
    files = folder_in_memory(
        folder.files["models.yaml"], folder.files["policies.yaml"], routes, problems=problems
    )
    if files is None:
        yield "reading", _rendered(problems)
        return
    yield "loading", _loaded(files)
    report = lint(files, Problems()) if _is_refused(files) else None
    if report is not None:
        yield "lint", "\n".join(map(render, report.findings))
    try:
        carried = read_litellm("config.yaml", folder.files["models.yaml"])
        yield "init", "\n".join((*carried.files.values(), *carried.left))
    except NoLiteLLMFile as error:
        yield "init", str(error)


def _loaded(files: PolicyFolder) -> str:
    problems = Problems()
    build(files, problems)
    return _rendered(problems) + repr(list(problems))


def _is_refused(files: PolicyFolder) -> bool:
    problems = Problems()
    return build(files, problems) is None


def _rendered(problems: Problems) -> str:
    return "\n".join(render(each) for each in problems)


def leaks(seed: int, count: int) -> Iterator[str]:
    """What shows a secret, of so many that are planted."""
    random = Random(seed)
    for number in range(count):
        folder = shipped(random.choice([*SHIPPED]))
        text = secret(random)
        for surface, printed in shown(planted(random, folder, text)):
            tail = text[-8:]
            if tail in printed or text in printed:
                yield f"{number}: {surface} of {folder.name} shows {text}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--planted", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    found = [*leaks(arguments.seed, arguments.planted)]
    for each in found:
        print(each)
    print(f"{arguments.planted} secrets planted, {len(found)} shown")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

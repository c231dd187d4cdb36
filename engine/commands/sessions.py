"""`engine sessions`: what is known of sessions, and the labels that a person gives or takes with them."""

import argparse
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from engine.commands.env_file import add_env_file_argument, apply_env_file
from engine.commands.loading import COULD_NOT_RUN, add_config_argument, add_format_argument, load_policy
from engine.commands.tables import table
from engine.commands.terminal import Terminal
from engine.language.diagnostics import visible

if TYPE_CHECKING:
    from engine.budget.sessions import SessionBook, SessionSummary
    from engine.model_router import ModelRouter

SUMMARY = "list, show, label and forget sessions"
DESCRIPTION = """`list` shows the sessions that were used last. `show SESSION` tells what a session carries
and costs, and its agents. `label SESSION LABEL...` marks it for all its later calls. `forget SESSION` forgets
it with its labels; what it cost stays in the books. SESSION is the beginning of a session's key, as `list`
and the decision log have it, or with --name the name that the caller gave it: only a keyed hash of that is
stored."""
ACTIONS = ("list", "show", "label", "forget")
MOST = 50
UNDER_WAY = 1
_SHOWN = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=ACTIONS, help="what to do")
    parser.add_argument("session", nargs="?", help="the beginning of a session's key")
    parser.add_argument("labels", nargs="*", metavar="label", help="LABELs of `label`")
    parser.add_argument("--name", action="store_true", help="SESSION is the name that the caller gave")
    add_config_argument(parser)
    add_format_argument(parser, "text", "json")
    add_env_file_argument(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    from engine.model_router import ModelRouter

    problem = _problem(arguments)
    if problem is not None:
        terminal.note(f"engine sessions {arguments.action}: {problem}")
        return COULD_NOT_RUN
    apply_env_file(arguments)
    policy = load_policy(arguments, terminal)
    if policy is None:
        return COULD_NOT_RUN
    router = ModelRouter.of(policy)
    key = _key(router.sessions, arguments) if arguments.session is not None else ""
    if key is None:
        terminal.note(
            f"engine sessions {arguments.action}: there is no such session, or more than one begins so; "
            "see `engine sessions list`"
        )
        return COULD_NOT_RUN
    answer = _answer(router, arguments, key)
    if arguments.format == "json":
        terminal.say(json.dumps({"version": 1, "action": arguments.action, **answer}, indent=1))
    else:
        terminal.say("\n".join(visible(line) for line in _lines(answer)))
    return UNDER_WAY if answer.get("under_way") else 0


def _problem(arguments: argparse.Namespace) -> str | None:
    if (arguments.action == "list") is not (arguments.session is None):
        return "takes no name" if arguments.action == "list" else "name the SESSION"
    if (arguments.action == "label") is not bool(arguments.labels):
        return "name a LABEL" if arguments.action == "label" else "takes one name"
    return None


def _key(book: "SessionBook", arguments: argparse.Namespace) -> str | None:
    if arguments.name:
        return book.key_of(arguments.session)
    found = book.find(arguments.session)
    return found[0] if len(found) == 1 else None


def _answer(router: "ModelRouter", arguments: argparse.Namespace, key: str) -> dict[str, Any]:
    book = router.sessions
    match arguments.action:
        case "list":
            return {"sessions": [_summary(each) for each in book.all(MOST)]}
        case "label":
            router.check_labels(arguments.labels)
            book.label_key(key, arguments.labels)
            return {"said": f"{key[:_SHOWN]} carries {', '.join(arguments.labels)} from now on"}
        case "forget":
            if book.forget(key):
                return {"said": f"{key[:_SHOWN]} is forgotten with its labels", "under_way": False}
            return {"said": f"{key[:_SHOWN]} has a call under way; try again", "under_way": True}
        case _:
            return _shown(book, key)


def _shown(book: "SessionBook", key: str) -> dict[str, Any]:
    from engine.budget import usd

    summary, record, agents = book.show(key)
    return {
        "sessions": [_summary(summary)],
        "labels": [
            {"label": label, "since": _moment(origin.at_us), "decision_id": origin.decision_id}
            for label, origin in sorted(record.labels.items())
        ],
        "caches": [
            {"provider": provider, "model": model, "used": _moment(at)}
            for (provider, model), at in sorted(record.caches.items())
        ],
        "agents": [
            {
                "key": agent.key,
                "parent": agent.parent_key,
                "spent_usd": f"{usd(agent.spent_micro_usd):f}",
                "held_usd": f"{usd(agent.held_micro_usd):f}",
            }
            for agent in agents
        ],
    }


def _summary(one: "SessionSummary") -> dict[str, Any]:
    from engine.budget import usd

    return {
        "key": one.key,
        "calls": one.calls,
        "first": _moment(one.first_us),
        "last": _moment(one.last_us),
        "spent_usd": f"{usd(one.spent_micro_usd):f}",
        "held_usd": f"{usd(one.held_micro_usd):f}",
        "labels": list(one.labels),
    }


def _moment(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).isoformat()


def _lines(answer: dict[str, Any]) -> list[str]:
    if "said" in answer:
        return [answer["said"]]
    sessions = answer["sessions"]
    if not sessions:
        return ["no session is known; a call belongs to one when its task names it"]
    rows = [
        (
            each["key"][:_SHOWN],
            str(each["calls"]),
            f"${each['spent_usd']}",
            each["last"],
            ", ".join(each["labels"]) or "-",
        )
        for each in sessions
    ]
    lines = table(("session", "calls", "spent", "last call", "labels"), rows, ("calls", "spent")).splitlines()
    for label in answer.get("labels", []):
        said = label["decision_id"] or "said of the session"
        lines.append(f"label {label['label']}: since {label['since']} ({said})")
    lines += [
        f"cache of {each['model']} ({each['provider']}): used {each['used']}"
        for each in answer.get("caches", [])
    ]
    for agent in answer.get("agents", []):
        below = f", started by {agent['parent'][:_SHOWN]}" if agent["parent"] else ""
        lines.append(f"agent {agent['key'][:_SHOWN]}{below}: ${agent['spent_usd']} with those below it")
    return lines

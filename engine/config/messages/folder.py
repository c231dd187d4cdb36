"""Sentences about a policy folder and its files."""

import re

from engine.language.diagnostics import Diagnostic, visible
from engine.language.sentences import Sentence, error, warning
from engine.language.source import Span

no_folder = Sentence(
    "no-folder",
    "this is no folder that can be read",
    "name a folder that holds models.yaml; `engine init` writes one",
)


def no_catalogue(span: Span, misspelt: str | None) -> Diagnostic:
    help = f"rename `{visible(misspelt)}`" if misspelt else "write one, or let `engine init` write it"
    return error("no-catalogue", span, "this folder has no models.yaml", help)


def file_overlooked(name: str, wanted: str, span: Span) -> Diagnostic:
    return warning(
        "file-overlooked",
        span,
        f"`{visible(name)}` is not read",
        f"call it `{visible(wanted)}` if it belongs to the policy",
    )


def policy_overlooked(name: str, holds: str, span: Span) -> Diagnostic:
    folder, _, file = name.rpartition("/")
    stem = re.split(r"\.", file.lstrip("."))[0] or "main"
    if holds == "settings":
        help = "put them into `policies.yaml`, or move this file out of the folder"
    elif folder and file.endswith(".route"):
        help = "move it up into the policy folder, or out of it"
    else:
        help = f"call it `{visible(stem)}.route`, or move it out of the folder"
    message = f"`{visible(name)}` holds {holds} and is not read: they are not in force"
    return error("file-overlooked", span, message, help)


def no_regular_file(kind: str, span: Span) -> Diagnostic:
    return error(
        "no-regular-file",
        span,
        f"this is {kind}, and only plain files are read",
        "copy the file itself into the folder",
    )


def unreadable_file(reason: str, span: Span) -> Diagnostic:
    return error("unreadable-file", span, f"this file cannot be read: {reason}")


def folder_too_big(span: Span, most_bytes: int) -> Diagnostic:
    return error(
        "folder-too-big",
        span,
        f"the files of this folder are larger than {most_bytes // (1024 * 1024)} MiB together",
        "keep generated files elsewhere",
    )


base_route_in_folder = Sentence(
    "base-route",
    "base.route is the name of the engine's own guards",
    "call this file something else; it cannot replace them",
)

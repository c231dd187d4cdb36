"""`engine show`: the effective policy as `.route` text, the engine's own rules and lowered YAML included."""

import argparse

from engine.commands.loading import COULD_NOT_RUN, add_config_argument, load_policy
from engine.commands.terminal import Terminal

SUMMARY = "print the effective policy, YAML and the engine's own rules included"
DESCRIPTION = """Prints every rule that decides, as .route text in the order that decides, each with its
place. What the YAML files stand for is written out as the ordinary rules it is lowered to."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_argument(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    from engine.decision.cache_prices import is_cache_price
    from engine.language.formatter import print_statement
    from engine.language.vocabulary import VERSIONS

    policy = load_policy(arguments, terminal)
    if policy is None:
        return COULD_NOT_RUN
    terminal.say(f"language {VERSIONS[-1]}")
    for statement in policy.statements:
        span = statement.span
        terminal.say(f"\n# {span.source.name}:{span.line}\n{print_statement(statement)}")
    for rule in filter(is_cache_price, policy.checked.rules):
        # No statement says it: it follows from the prices and the weights.
        terminal.say(f"\n# {rule.span.source.name}:{rule.span.line}\n# {rule.name}: {rule.because}")
    return 0

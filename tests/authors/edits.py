"""Random single edits of words and characters in the shipped folders, and what is said of each.

python -m tests.authors.edits --edits 10000

Prints how many notes an edit gets.
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from tests.authors.folders import SHIPPED, Folder, shipped
from tests.authors.helps import Followed, followed

_WORDS = re.compile(r"[\w.$%:-]+|[^\w\s]+", re.ASCII)
_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789 \n:,.-_[](){}\"'=<>#$%&|!"


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit of one file: `before` at `start` becomes `after`."""

    folder: str
    file: str
    start: int
    before: str
    after: str
    kind: str

    def applied(self) -> Folder:
        folder = shipped(self.folder)
        text = folder.files[self.file]
        return folder.with_file(
            self.file, text[: self.start] + self.after + text[self.start + len(self.before) :]
        )


def edits(seed: int) -> Iterator[Edit]:
    """Edits without end: half of them of characters, half of words; every folder as often as any other."""
    random = Random(seed)
    while True:
        folder = shipped(random.choice([*SHIPPED]))
        file = random.choice([*folder.files])
        make = random.choice((_of_character, _of_word))
        found = make(folder.files[file], random)
        if found is not None:
            kind, start, before, after = found
            yield Edit(folder.name, file, start, before, after, kind)


def _of_character(text: str, random: Random) -> tuple[str, int, str, str] | None:
    start = random.randrange(len(text) - 1)
    here, pair = text[start], text[start : start + 2]
    match random.randrange(4):
        case 0:
            return "a character less", start, here, ""
        case 1:
            return "a character more", start, "", random.choice(_CHARACTERS)
        case 2:
            return "another character", start, here, random.choice(_CHARACTERS)
        case _:
            return None if pair[0] == pair[1] else ("two characters swapped", start, pair, pair[::-1])


def _of_word(text: str, random: Random) -> tuple[str, int, str, str] | None:
    words = [*_WORDS.finditer(text)]
    number = random.randrange(len(words) - 1)
    word, following = words[number], words[number + 1]
    match random.randrange(5):
        case 0:
            return "a word less", word.start(), word[0], ""
        case 1:
            return "a word twice", word.start(), word[0], f"{word[0]} {word[0]}"
        case 2:
            return "another word", word.start(), word[0], random.choice(words)[0]
        case 3:
            both = text[word.start() : following.end()]
            between = text[word.end() : following.start()]
            return "two words swapped", word.start(), both, following[0] + between + word[0]
        case _:
            changed = word[0].swapcase() if random.random() < 0.5 else word[0].capitalize()
            return None if changed == word[0] else ("another case", word.start(), word[0], changed)


def _outcome(result: Followed | None) -> str:
    if result is None:
        return "proposes no text"
    if result.is_meant:
        return "as meant"
    if result.errors:
        return "new error"
    return "lets out" if result.leaks else "open" if result.is_open else "no looser"


def share(counts: list[int], part: float) -> int:
    """The count that this part of all does not exceed."""
    return counts[min(int(part * len(counts)), len(counts) - 1)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=0, help="show edits with so many notes or more")
    parser.add_argument("--follow", action="store_true", help="follow the help, and judge what comes of it")
    arguments = parser.parse_args()
    counts: list[int] = []
    outcomes: Counter[str] = Counter()
    kinds: Counter[tuple[str, ...]] = Counter()
    source = edits(arguments.seed)
    for number in range(arguments.edits):
        edit = next(source)
        _, found = edit.applied().built()
        if not found:
            continue
        counts.append(len(found))
        if arguments.follow:
            result = followed(shipped(edit.folder), edit.applied(), found)
            outcome = _outcome(result)
            outcomes[outcome] += 1
            if outcome in ("new error", "lets out") or (outcome == "open" and arguments.show):
                print(f"--- {number}: {outcome}: {edit}")
                for problem in found[:3]:
                    print(f"    {problem.span} {problem.slug}: {problem.message}")
                    print(f"        {problem.help} | {problem.fix}")
                print("   ", *(result.errors + result.leaks)[:3], sep="\n    ")
        kinds[tuple(problem.slug for problem in found)[:4]] += 1
        if arguments.show and len(found) >= arguments.show:
            print(f"--- {number}: {len(found)} notes: {edit}")
            for problem in found[:6]:
                print(f"    {problem.span} {problem.slug}: {problem.message} | {problem.help}")
    counts.sort()
    shares = ", ".join(f"p{part:.0%}"[:-1] + f" {share(counts, part)}" for part in (0.5, 0.9, 0.99))
    alone = sum(count == 1 for count in counts) / len(counts)
    print(f"{arguments.edits} edits, {len(counts)} with notes: {shares}, most {counts[-1]}; one: {alone:.1%}")
    for outcome, times in outcomes.most_common():
        print(f"{times} followed: {outcome}")
    for slugs, times in kinds.most_common(60):
        print(times, slugs)
    return 0


if __name__ == "__main__":
    sys.exit(main())

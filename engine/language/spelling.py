"""A word that is not known -> the known words it was most likely meant to be."""

from collections.abc import Iterable


def misspelt(word: str, known: Iterable[str]) -> tuple[str, ...]:
    """The known words that are fewest slips of the finger away: one letter more, less or other, or two
    swapped; of seven letters and more also two slips."""
    most = 1 if len(word) < 7 else 2
    near = [(slips(word, each, most), each) for each in known]
    least = min((count for count, _ in near), default=most + 1)
    return tuple(each for count, each in near if count == least) if least <= most else ()


def slips(word: str, other: str, most: int) -> int:
    """How many letters are to be added, left out, changed or swapped with the next (the optimal string
    alignment distance); `most + 1` for every greater number."""
    if abs(len(word) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(word, 1):
        two_before, before, row = before, row, [i]
        for j, wanted in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and word[i - 2] == wanted:
                cost = min(cost, two_before[j - 2] + 1)
            row.append(cost)
        if min(row) > most and min(before, default=0) >= most:
            return most + 1
    return min(row[-1], most + 1)


def is_slip(word: str, other: str) -> bool:
    """Whether one is the other but for its case or a slip of the finger."""
    return word.casefold() == other.casefold() or bool(misspelt(word, [other]))

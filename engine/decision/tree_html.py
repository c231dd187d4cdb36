"""The rows of an outline -> one HTML page that folds, and needs nothing else: no script, no font, no address
outside itself.

INVARIANT: every name of a policy goes through `said`. The page forbids itself everything but its own style
sheet (Content-Security-Policy), so that even a mistake could not load or run anything. Folding is what
browsers do with `details`: by mouse, by keyboard, and for a link into what is folded.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence

from engine.decision.outcomes import Place
from engine.decision.tree_drawing import (
    TITLE,
    Heading,
    firsts_of,
    head_of,
    place_of,
    places_of,
    question_of,
    rules_of,
)
from engine.decision.tree_outline import Result, Row
from engine.decision.tree_svg import said, with_signs
from engine.language.checked_policy import Rule

STYLE = """\
:root{color-scheme:light dark;--page:#fff;--ink:#1f2328;--soft:#59636e;--line:#d1d9e0;--ask:#f0f3f6;
--link:#0a58ca;--here:#dafbe1;--here-line:#2da44e;--here-ink:#0f5323;--out:#ffead5;--out-line:#d9730d;--out-ink:#7a3303;
--no:#ffe3e0;--no-line:#cf222e;--no-ink:#8a1119;--aim:#fff8c5}
@media(prefers-color-scheme:dark){:root{--page:#0d1117;--ink:#e6edf3;--soft:#9198a1;--line:#3d444d;--ask:#1c2128;
--link:#79b8ff;--here:#0f2d1a;--here-line:#2ea043;--here-ink:#7ee2a0;--out:#3a2208;--out-line:#db6d28;
--out-ink:#ffb77c;--no:#3b1416;--no-line:#f85149;--no-ink:#ffaba8;--aim:#3a3000}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:14px/1.45 system-ui,"Segoe UI",Helvetica,Arial,sans-serif}
main{padding:20px clamp(12px,3vw,32px) 60px}
h1{font-size:22px;line-height:1.25;margin:0 0 4px}h2{font-size:17px;margin:36px 0 8px}
p{margin:4px 0;max-width:90ch}.soft{color:var(--soft)}
a{color:var(--link)}a:focus-visible,summary:focus-visible{outline:2px solid var(--link);outline-offset:2px}
code,pre,.q,.chip b{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.legend{display:flex;flex-wrap:wrap;gap:6px;margin:12px 0 18px;align-items:center}
ul{list-style:none;margin:0;padding:0 0 0 18px;border-left:1px solid var(--line)}main>ul{border:0;padding:0}
li{margin:3px 0;scroll-margin:40px}
summary{cursor:pointer;padding:1px 0}
.q{background:var(--ask);border:1px solid var(--line);border-radius:6px;padding:1px 7px;font-size:13px;
overflow-wrap:anywhere}
.branch{margin-right:6px}.row{display:flex;flex-wrap:wrap;gap:4px 6px;align-items:center}
.of{color:var(--soft);font-size:12px}
.chip{display:inline-block;border:1px solid;border-radius:6px;padding:1px 8px 2px;font-size:12px;
line-height:1.35;max-width:100%;overflow-wrap:anywhere}
.chip b{display:block;font-size:12.5px}.chip a{color:inherit}
.chip small{display:block;font-size:11px;opacity:.85}
.here{background:var(--here);border-color:var(--here-line);color:var(--here-ink)}
.then{background:var(--here);border-color:var(--here-line);color:var(--here-ink);
border-right:8px solid var(--out-line)}
.out{background:var(--out);border-color:var(--out-line);color:var(--out-ink)}
.refused{background:var(--no);border-color:var(--no-line);color:var(--no-ink)}
.rule{border:1px solid var(--line);border-radius:6px;margin:8px 0;padding:6px 10px;scroll-margin:16px}
.rule:target{background:var(--aim)}li:target>details>summary>.q,li:target .q{background:var(--aim)}
.rule pre{margin:4px 0 0;font-size:12.5px;overflow-x:auto}.rule pre i{color:var(--soft);font-style:normal;
user-select:none}
@media print{details>*{display:block}}
"""

CLASSES = {Place.HERE: "here", Place.THEN_CLOUD: "then", Place.OUT: "out", Place.REFUSED: "refused"}


def html(rows: Sequence[Row], heading: Heading) -> str:
    """The whole page: what it is of, the legend, the tree, and every rule that decides, as it is written."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    rules = {rule.name: f"rule-{number}" for number, rule in enumerate(rules_of(rows))}
    body = "\n".join([*_head(heading), *_Tree(rows, rules).lines(), *_rules(rows, rules)])
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src '
        f"'sha256-{digest}'; base-uri 'none'; form-action 'none'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{said(f'{heading.policy}: {TITLE}')}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>"
    )


def _head(heading: Heading) -> Iterator[str]:
    yield f"<h1>{said(TITLE)}</h1>"
    yield f'<p class="soft"><code>{said(heading.policy)}</code>, {said(heading.date)}</p>'
    held = f"Held: {'; '.join(heading.held)}." if heading.held else "Every fact is asked about."
    yield f'<p class="soft">{said(held)}</p>'
    yield (
        f'<div class="legend">{_places(Place)} <span class="soft">Each links to the rule that decides so. '
        "Questions fold.</span></div>"
    )


class _Tree:
    """Nested lists: a question is a `details` that holds its branches."""

    def __init__(self, rows: Sequence[Row], rules: dict[str, str]) -> None:
        self._rows, self._rules = rows, rules
        self._referred = {row.again for row in rows if row.again is not None}

    def lines(self) -> Iterator[str]:
        yield "<ul>"
        open_levels = 0
        for row in self._rows:
            while open_levels > row.level:
                yield "</ul></details></li>"
                open_levels -= 1
            yield f'<li id="row-{row.number}">'
            if row.results or row.again is not None:
                yield f'<div class="row">{self._branch(row)}{self._end(row)}</div></li>'
            else:
                tag = f' <span class="of">#{row.number}</span>' if row.number in self._referred else ""
                yield f"<details open><summary>{self._branch(row)}{_question(row)}{tag}</summary><ul>"
                open_levels += 1
        yield "</ul></details></li>" * open_levels + "</ul>"

    def _branch(self, row: Row) -> str:
        if row.parent is None:
            return ""
        return f'<span class="branch" title="{said(row.condition)}">{said(row.branch)}</span>'

    def _end(self, row: Row) -> str:
        if row.again is not None:
            return f'{_question(row)} <a href="#row-{row.again}">as at #{row.again}</a>'
        if row.cut:
            return f'{_question(row)} <span class="of">{row.cut} more rows</span> {_places(places_of(row))}'
        of = f'<span class="of">{said(row.question)}</span>' if row.question else ""
        return of + "".join(map(self._chip, row.results))

    def _chip(self, result: Result) -> str:
        names = ", ".join(map(self._named, result.rules)) or "there are no others"
        first = f"<small>{said(firsts_of(result))}</small>" if result.firsts else ""
        return (
            f'<span class="chip {CLASSES[result.place]}"><b>{said(with_signs(head_of(result)))}</b>'
            f"{names}{first}</span>"
        )

    def _named(self, rule: Rule) -> str:
        because = f' title="{said(rule.because)}"' if rule.because else ""
        return f'<a href="#{self._rules[rule.name]}"{because}>{said(rule.name)}</a>'


def _places(places: Iterable[Place]) -> str:
    return " ".join(
        f'<span class="chip {CLASSES[place]}"><b>{said(place.value)}</b></span>' for place in places
    )


def _question(row: Row) -> str:
    return f'<span class="q">{said(question_of(row))}</span>'


def _rules(rows: Sequence[Row], names: dict[str, str]) -> Iterator[str]:
    yield "<h2>The rules that decide</h2>"
    for rule in rules_of(rows):
        first, lines = rule.span.line, rule.span.text.rstrip().splitlines()
        numbered = "\n".join(f"<i>{first + place:>4}  </i>{said(line)}" for place, line in enumerate(lines))
        yield (
            f'<div class="rule" id="{names[rule.name]}"><b>{said(rule.name)}</b> '
            f'<span class="soft">{said(place_of(rule))}</span><pre tabindex="0">{numbered}</pre></div>'
        )

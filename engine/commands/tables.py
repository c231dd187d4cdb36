"""Rows -> a plain text table, columns aligned; control characters of the cells are escaped."""

from collections.abc import Collection, Sequence

from engine.language.diagnostics import visible


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str] = ()) -> str:
    """Columns two spaces apart, those named in `right` aligned to the right."""
    shown = [list(titles), *([visible(cell) for cell in row] for row in rows)]
    widths = [max(len(row[place]) for row in shown) for place in range(len(titles))]
    lines = []
    for row in shown:
        cells = [
            cell.rjust(width) if title in right else cell.ljust(width)
            for cell, width, title in zip(row, widths, titles, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)

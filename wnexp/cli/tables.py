"""Tables in the terminal. Imports nothing heavy."""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from wnexp.runs.listing import BESIDE


def number(value: float | None, form: str) -> str:
    """A number in that format, `-` for none."""
    return "-" if value is None else format(value, form)


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table on standard output, in aligned plain text; cells wrapped where a terminal is too narrow for it."""
    cells = [list(map(str, row)) for row in [header, *rows]]
    widths = [max(len(row[index]) for row in cells) for index in range(len(header))]
    if sys.stdout.isatty() and sum(widths) + 2 * len(widths) > shutil.get_terminal_size().columns:
        return _print_wrapped(cells)
    for row in cells:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _print_wrapped(cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="")
    for name in cells[0]:
        table.add_column(name, overflow="fold")
    for row in cells[1:]:
        table.add_row(*row)
    Console(highlight=False, markup=False).print(table)


def print_listing(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Rows of `runs.listing`, a mean with its deviation and its number of seeds in one column."""
    shown = [name for name in columns if not name.endswith(BESIDE)]
    print_table([name.removesuffix(".name") for name in shown], [[_cell(row, name) for name in shown] for row in rows])


def _cell(row: Mapping[str, Any], name: str) -> str:
    value, deviation, some = row.get(name), row.get(f"{name}_deviation"), row.get(f"{name}_seeds")
    if isinstance(value, list) and value and all(isinstance(entry, str) for entry in value):
        return ", ".join(value)
    if isinstance(value, (list, dict, bool)):
        return json.dumps(value)
    text = "-" if value is None else str(value)
    if type(value) is float:
        text = f"{value:.1f}" if name == "seconds" else f"{value:.6g}"
    text += f" ± {deviation:.2g}" if deviation else ""
    return text if some is None else f"{text} ({some} of {row['seeds']})"

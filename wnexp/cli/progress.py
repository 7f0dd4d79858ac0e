"""The progress bar. Imports nothing heavy: commands that train nothing have one too."""

import sys
from collections.abc import Sequence
from typing import Any

_BAR_AND_TIME = 20  # columns that the bar, the time and the spaces around them need at least


class Bar:
    """A bar on standard error where that is a terminal, gone when it is closed; elsewhere nothing."""

    def __init__(self):
        self._bar: Any = None

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._bar is not None:
            self._bar.__exit__(*exception)
            self._bar = None

    def show(self, share: float, parts: Sequence[str]) -> None:
        """So much of it is done, and as much of the text as fits, in its order of importance."""
        if not sys.stderr.isatty():
            return
        bar = self._bar = self._bar or _opened()
        text = fitting(parts, bar.console.width - _BAR_AND_TIME)
        bar.update(bar.task_ids[0], completed=min(max(share, 0.0), 1.0), description=text)

    def of_count(self, what: str, done: int, total: int) -> None:
        """So many of so many are done."""
        self.show(done / max(total, 1), [what, f"{done} of {total}"])


def _opened() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), TimeElapsedColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True, expand=True)
    bar.__enter__()
    bar.add_task("started", total=1.0)
    return bar


def fitting(parts: Sequence[str], width: int) -> str:
    """As many of the parts, in their order of importance, as fit into a line."""
    text = parts[0]
    for part in parts[1:]:
        text = f"{text}  {part}" if len(text) + 2 + len(part) <= width else text
    return text

"""`wnexp train --help`: every option and setting."""

import shutil
import textwrap
from typing import Any

from wnexp.settings import Setting, settings

_NAME = 32  # columns of the names of settings


def print_settings(options: Any) -> None:
    """Every option of every group and every setting: default, meaning, what is allowed, which options have it."""
    for group, table in options.groups.items():
        print(f"== {group} ==")
        for name in options.names(group):
            _print_entry(f"{group}={name}", options.describe(group, name))
        print()
        found: dict[tuple[str, str], list[str]] = {}
        for name, prototype in table.items():
            for key, one in settings(prototype).items():
                found.setdefault(_entry(f"{group}.{key}", one), []).append(name)
        for (key, meaning), names in sorted(found.items()):
            _print_entry(key, meaning + (f" [{', '.join(names)}]" if len(names) < len(table) else ""))
        print()
    print("== experiment ==")
    for name in options.names("experiment"):
        _print_entry(f"experiment={name}", options.describe("experiment", name))
    print("\n== The run ==")
    for section, known in options.sections().items():
        for key, one in known.items():
            _print_entry(*_entry(f"{section}.{key}".lstrip("."), one))


def _entry(key: str, one: Setting) -> tuple[str, str]:
    value = "null" if one.value is None else str(one.value).lower() if isinstance(one.value, bool) else str(one.value)
    allowed = f" ({one.allowed})" if one.allowed else ""
    return f"{key}={value.replace(' ', '').replace(chr(39), '')}", f"{one.meaning}{allowed}"


def _print_entry(name: str, meaning: str) -> None:
    width = max(60, shutil.get_terminal_size((120, 24)).columns)
    text = f"{name.ljust(_NAME)}  {meaning}"
    print(textwrap.fill(text, width, initial_indent="  ", subsequent_indent=" " * (_NAME + 4), break_on_hyphens=False))

"""The parts of the READMEs that are made from the code: `make readmes` writes them, a test compares them."""

import re
import textwrap
from pathlib import Path

from wnexp import pruning
from wnexp.measures import MEASURES
from wnexp.runs import tables
from wnexp.settings import Setting, settings
from wnexp.training.options import OPTIONS

ROOT = Path(__file__).resolve().parents[1]
_MARKED = re.compile(r"(<!-- (\w+): made by `make readmes` -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def _item(text: str) -> str:
    return "\n".join(
        textwrap.wrap(f"* {text}", 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    )


def _value(value: object) -> str:
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text.replace(" ", "").replace("'", "")


def _setting(key: str, one: Setting, names: list[str]) -> str:
    allowed = f" Allowed: {one.allowed}." if one.allowed else ""
    of = f" Of {', '.join(names)}." if names else ""
    return _item(f"`{key}={_value(one.value)}`: {one.meaning}.{allowed}{of}")


def setting_lists() -> str:
    """Every setting of every option: default, meaning, allowed values, and the options that have it so."""
    parts = []
    for group, table in OPTIONS.groups.items():
        parts.append(f"### {group}\n")
        parts += [_item(f"`{group}={name}`: {OPTIONS.describe(group, name)}") for name in OPTIONS.names(group)]
        parts.append("")
        found: dict[tuple[str, str, str], tuple[Setting, list[str]]] = {}
        for name, prototype in table.items():
            for key, one in settings(prototype).items():
                found.setdefault((key, _value(one.value), one.meaning), (one, []))[1].append(name)
        for (key, _, _), (one, names) in sorted(found.items(), key=lambda entry: entry[0]):
            parts.append(_setting(f"{group}.{key}", one, names if len(names) < len(table) else []))
        parts.append("")
    parts.append("### The run\n")
    for section, own in OPTIONS.sections().items():
        parts += [_setting(f"{section}.{key}".lstrip("."), one, []) for key, one in own.items()]
    return "\n".join(parts) + "\n"


def column_lists() -> str:
    """Every table and column: its unit or meaning."""
    described: dict[str, dict[str, str]] = {}
    for measure in MEASURES.values():
        if not measure.table.startswith("."):
            own = described.setdefault(measure.table, {})
            for field in tables.table_schema(measure):
                own.setdefault(field.name, field.metadata[b"unit"].decode())
    for name, columns in (("plane", tables.PLANE), ("pruning", pruning.COLUMNS)):
        described[name] = {column: unit for column, (_, unit) in columns.items()}
    parts = []
    for name, own in described.items():
        parts.append(f"### {name}.parquet\n")
        parts += [_item(f"`{column}`: {unit}") for column, unit in own.items()]
        parts.append("")
    return "\n".join(parts)


MADE = {"settings": setting_lists, "columns": column_lists}
PAGES = (ROOT / "conf" / "README.md", ROOT / "wnexp" / "runs" / "README.md")


def rendered(page: Path) -> str:
    """A page with its marked parts made anew."""
    return _MARKED.sub(lambda match: f"{match[1]}\n{MADE[match[2]]()}{match[4]}", page.read_text())


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(rendered(page))

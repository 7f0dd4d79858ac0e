"""The name of a run directory: the same command, however spelled and ordered, gives the same name."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

_SILENT = {"overwrite", "outputs", "experiment"}


def run_directory(choices: Mapping[str, Any], overrides: Sequence[str]) -> str:
    """`<experiment or data name>/<overrides, readable>`, from the parsed overrides; of a key given twice the last.

    Adding an override to a command renames no other run. Characters that a file name cannot hold are replaced and a
    digest of the exact text appended.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    experiment = choices.get("experiment")
    parent = str(experiment or choices["data"])
    silent = _SILENT | (set() if experiment else {"data"})
    named = {}
    for text, override in zip(overrides, OverridesParser.create().parse_overrides(list(overrides)), strict=True):
        if override.key_or_group not in silent:
            key = override.get_key_element().lstrip("+~")
            named[key] = text if override.is_delete() else f"{key}={_canonical(override.value(), text)}"
    exact = ",".join(sorted(named.values()))
    replaced = re.sub(r"[^\w.,=+\-\[\]{}:()~]", "_", exact)
    name = replaced.encode()[:160].decode(errors="ignore")  # file systems count bytes
    if name != exact:
        name += "-" + hashlib.sha256(exact.encode()).hexdigest()[:8]
    return f"{parent}/{name or 'default'}"


def _canonical(value: Any, typed: str) -> str:
    """A value as text: numbers in one form wherever they stand, everything else as it was typed."""
    if isinstance(value, list):
        return f"[{','.join(_canonical(entry, f'={entry}') for entry in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
            return str(int(value))
        return re.sub(r"e\+?(-?)0*", r"e\1", repr(value))
    text = typed.split("=", 1)[1]
    return str(int(text)) if re.fullmatch(r"[+-]?[0-9]+", text) else text  # 01 is a text to Hydra, a number to us

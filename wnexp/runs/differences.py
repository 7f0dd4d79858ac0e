"""In which settings runs differ, as far as these make other numbers: what tells them apart in tables and figures."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wnexp.errors import UserError
from wnexp.runs.identity import digested, is_digest
from wnexp.runs.reader import Run


def what_made(run: Run) -> dict[str, Any]:
    """The configuration and the code."""
    return run.config | {"code": run.status.code or "unknown"}


def changes_no_number(name: str) -> bool:
    """Whether a setting says which seeds there are, or what is recorded and saved of them."""
    return name in ("seed", "seeds", "snapshots") or name.startswith("record.")


def identity_text(run: Run, without: Sequence[str] = ()) -> str:
    """Equal for runs that differ in their seeds, records and the settings `without` alone."""
    kept = {
        name: value for name, value in what_made(run).items() if not changes_no_number(name) and name not in without
    }
    return json.dumps(kept, sort_keys=True)


def telling_apart(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys in which configurations differ, the norm first, without those whose values follow from another's.

    A step rule or a target that an experiment sets by norm follows from the norm; whatever differs as the data set
    does follows from the data set; settings that differ as the step rule does, from it; a file's digest from its name.
    """
    names = sorted(name for name in {name for config in configs for name in config} if not changes_no_number(name))
    differing = [name for name in names if len({text(config.get(name)) for config in configs}) > 1]

    def follows(name: str) -> bool:
        sources = ["data.name"] if name.startswith(("data.", "model.", "loss.")) else ["data.name", "norm.name"]
        sources += ["optimizer.name"] if name.startswith(("optimizer.", "stop.")) and name != "optimizer.name" else []
        sources = [digested(name)] if is_digest(name) else sources
        sources = [source for source in sources if source in differing]
        pairs = {(*(text(config.get(key)) for key in sources), text(config.get(name))) for config in configs}
        return bool(sources) and len(pairs) == len({pair[:-1] for pair in pairs})

    kept = [name for name in differing if name in ("norm.name", "data.name", "code") or not follows(name)]
    return sorted(kept, key=lambda name: name != "norm.name")


def text(value: Any) -> str:
    """A setting's value as text."""
    return value if isinstance(value, str) else json.dumps(value)


def named(name: str, keys: Iterable[str]) -> str | None:
    """The key that a user means: itself, `norm` for `norm.name`, `power` for `norm.power` where no other ends so.

    None if it is none of the keys. Raises `UserError` where it may be several.
    """
    known = set(keys)
    for key in (name, f"{name}.name"):
        if key in known:
            return key
    of_that_end = sorted(key for key in known if key.endswith(f".{name}"))
    if len(of_that_end) > 1:
        raise UserError(f"'{name}' may be {' or '.join(of_that_end)}")
    return of_that_end[0] if of_that_end else None

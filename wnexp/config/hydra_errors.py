"""Hydra's errors in one or two lines: what came and what is allowed."""

import re
from difflib import get_close_matches

from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from wnexp.config.schema import Options


def _chosen(error: BaseException) -> str | None:
    """The option of the group in which Hydra did not find a key: OmegaConf's error, its cause, knows the group."""
    group = getattr(error.__cause__, "parent_node", None)
    return group.get("name") if isinstance(group, DictConfig) and "name" in group else None


def explain_hydra(error: BaseException, options: Options) -> str | None:
    """The message for a user's mistake that Hydra found, or None for an error that is no such thing."""
    if isinstance(error, YAMLError):
        return " ".join(str(error).split())
    text = str(error)
    if isinstance(error, RuntimeError) and "srun" in text:
        return "hydra/launcher=submitit_slurm: no Slurm here, its srun is not found; allowed here: submitit_local"
    if not isinstance(error, (HydraException, OmegaConfBaseException)):
        return None
    if isinstance(error, OverrideParseException):
        if "=" not in (error.override or ""):
            return f"'{error.override}' is not a setting; GROUP=OPTION or KEY=VALUE is expected"
        reason = text.splitlines()[0]
        return (
            f"{error.override} cannot be read ({reason});\nvalues with = or , or brackets need quotes: 'KEY=\"VALUE\"'"
        )
    if found := re.search(r"Could not find '([^']+)/([^'/]*)'", text):
        known = re.search(r"Available options in '[^']+':\n((?:\t.*\n?)+)", text)
        names = known.group(1).split() if known else []
        near = get_close_matches(found.group(2), names, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        if found.group(1) in ("hydra/launcher", "hydra/sweeper"):
            hint = f"{hint}; others are plugins: pip install 'wnexp[joblib]', [slurm], [ray], [optuna]"
        return f"{found.group(1)}={found.group(2)} is unknown; allowed: {', '.join(names) or 'none'}{hint}"
    if found := re.search(r"Ambiguous value for argument '([^']+)'", text):
        return f"{found.group(1)} has several values; `wnexp train -m ...` runs one job for each"
    if found := re.search(r"Could not override '([^']+)'|Key '([^']+)' is not in struct", text):
        return str(options.unknown_key(found.group(1) or found.group(2), _chosen(error)))
    if found := re.search(r"UserError raised while resolving interpolation: (.*)", text):
        return found.group(1)
    if found := re.search(r"Interpolation key '([^']+)' not found", text):
        return f"${{{found.group(1)}}} refers to a setting that does not exist"
    if found := re.search(r"Error merging override \+*([^=]+)=(.*)", text):
        key, given = found.groups()
        if one := options.keys().get(key):
            return str(one.refusal(key, given))
    lines = [line.strip() for line in text.splitlines() if line.strip() and "full_key: " not in line]
    return "\n".join(lines[:2])

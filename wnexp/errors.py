"""What went wrong, in one or two lines: what came and what is allowed."""

import re

from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from wnexp.config import UserError, unknown_key


def explain(error: BaseException) -> str | None:
    """The message for a user's mistake, or None for an error that is no such thing."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, YAMLError):
        return " ".join(str(error).split())
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return _explain_hydra(error)
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        reason = str(error).splitlines()[0] if str(error) else "MemoryError"
        return f"not enough memory for a run of this size ({reason})"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return None


def _explain_hydra(error: Exception) -> str:
    text = str(error)
    if isinstance(error, OverrideParseException):
        if "=" not in (error.override or ""):
            return f"'{error.override}' is no setting; GROUP=OPTION or KEY=VALUE is expected"
        reason = text.splitlines()[0]
        return (
            f"{error.override} cannot be read ({reason});\nvalues with = or , or brackets need quotes: 'KEY=\"VALUE\"'"
        )
    if found := re.search(r"Could not find '([^']+)/([^'/]*)'", text):
        known = re.search(r"Available options in '[^']+':\n((?:\t.*\n?)+)", text)
        options = ", ".join(known.group(1).split()) if known else "none"
        return f"{found.group(1)}={found.group(2)} is unknown; allowed: {options}"
    if found := re.search(r"Ambiguous value for argument '([^']+)'", text):
        return f"{found.group(1)} has several values; `wnexp train -m ...` runs one job for each"
    if found := re.search(r"Could not override '([^']+)'|Key '([^']+)' is not in struct", text):
        return unknown_key(found.group(1) or found.group(2))
    if found := re.search(r"UserError raised while resolving interpolation: (.*)", text):
        return found.group(1)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[:2])

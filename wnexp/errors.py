"""What went wrong and can be fixed by the user: shown as one or two lines, never as a stack trace."""

import os


class UserError(Exception):
    """Something the user can mend: its message says what came and what is allowed. Exit code 1."""


class UsageError(UserError):
    """A command line that cannot be read. Exit code 2."""


def explain(error: BaseException) -> str | None:
    """The message for something the user can mend, or None for a fault of ours."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        reason = str(error).splitlines()[0] if str(error) else "MemoryError"
        return f"not enough memory for a run of this size ({reason})"
    if isinstance(error, ValueError) and (name := _variable(str(error))):
        return f"{name}={os.environ[name]}: {str(error).splitlines()[0]}"
    if isinstance(error, UnicodeEncodeError) and error.reason.startswith("surrogates"):
        return "the name of a file or folder is not UTF-8, which tables need; rename it, or set a locale of UTF-8"
    if isinstance(error, RuntimeError) and "home directory" in str(error):  # pathlib's, of ~ and ~NAME
        return f"~ in a path stands for no folder here: {error}"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return None


def _variable(text: str) -> str | None:
    """The variable of the environment that JAX, as it is imported, refuses in these words."""
    words = text.lower().replace(".", "_")
    named = [name for name in os.environ if name.startswith("JAX_") and name.lower() in words]
    return max(named, key=len, default=None)

"""The largest margin that a linear model without bias can have in a geometry, kept in the user's cache folder.

A file is named by the digest of the data and the geometry, so that other data have another one. It is believed only if
its weights have the margin that it says.
"""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from wnexp import resources
from wnexp.errors import UserError
from wnexp.runs import files
from wnexp.settings import choose
from wnexp.theory.margin_program import GAP, NORMS, Norm, Samples, solve

# Of the program, which takes dense factors of that many unknowns: 1,500 take 1 minute and 0.6 GiB, five times as many
# 100 times as long. Entries of weights that are no unknowns, where there are fewer samples than inputs, cost less:
# 50,000 take 2 minutes and 1.4 GiB.
_MOST_UNKNOWNS = 1500
_MOST_ENTRIES = 50_000


class Largest(NamedTuple):
    """The largest margin there is, weights of norm 1 that have it, and how far a larger one may be, relative to it."""

    margin: float
    weights: Float[np.ndarray, "d k"]
    gap: float


def largest_margin(x: Shaped[np.ndarray, "n d"], y: Int[np.ndarray, " n"], outputs: int, geometry: str) -> Largest:
    """`max min_ij s_ij(W) / N(W)` over `W (d, outputs)`, certified to a relative gap of 1e-7.

    `N` is `l2`, `linf` (largest entry), `l1` (sum of the entries), `spectral` or `nuclear`; the margins are those of
    `wnexp.nn.losses`: labels -1/+1 for one output, else 0..k-1. Raises `UserError` for data that no linear model
    separates, or by less than 1e-9 of the largest input, and for data too large to afford.
    """
    choose(NORMS, "geometry", geometry)
    if outputs == 1 and NORMS[geometry].spectral:
        geometry = "l2"  # a single column has a single singular value
    norm = NORMS[geometry]
    samples = Samples(np.ascontiguousarray(x, np.float64), np.ascontiguousarray(y, np.int64), outputs)
    file = _file(samples, geometry)
    if file is not None and (kept := _read(file, samples, norm)) is not None:
        return kept
    _check_size(samples, norm)
    solution = solve(samples, norm)
    found = Largest(solution.margin, solution.weights, max(0.0, solution.bound / solution.margin - 1))
    if file is not None:
        _keep(file, found)
    return found


def _check_size(samples: Samples, norm: Norm) -> None:
    """Raise `UserError` where the program would take hours."""
    count, inputs = samples.x.shape
    shown = f"the largest margin of {inputs:,} inputs, {samples.outputs:,} outputs and {count:,} samples"
    if (unknowns := min(count, inputs) * samples.outputs) > _MOST_UNKNOWNS:
        raise UserError(
            f"{shown} is too large a program: {unknowns:,} unknowns, outputs times the smaller of inputs and samples;\n"
            f"at most {_MOST_UNKNOWNS:,} can be afforded (a minute)"
        )
    if not norm.rotates and (entries := inputs * samples.outputs) > _MOST_ENTRIES:
        raise UserError(f"{shown} is too large a program: {entries:,} weights, at most {_MOST_ENTRIES:,}")


def _file(samples: Samples, geometry: str) -> Path | None:
    """Where the margin of these data is kept, if there is a place."""
    if (cache := resources.cache_folder()) is None:
        return None
    digest = hashlib.sha256(f"{geometry} {samples.outputs} {samples.x.shape}".encode())
    for array, kind in ((samples.x, "<f8"), (samples.y, "<i8")):
        digest.update(array.astype(kind).tobytes())
    return cache / "margins" / f"{digest.hexdigest()}.json"


def _read(file: Path, samples: Samples, norm: Norm) -> Largest | None:
    """What a file holds; None if it is not there, is damaged, or its weights have another margin."""
    try:
        stored = json.loads(file.read_bytes())
        weights = np.array(stored["weights"], np.float64)
        found = Largest(float(stored["margin"]), weights, float(stored["gap"]))
        if weights.shape != (samples.x.shape[1], samples.outputs):
            return None
        size, margin = norm.of(weights), float(samples.margins(weights).min())
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError):
        return None
    right = abs(size - 1) <= GAP and abs(margin - found.margin) <= GAP * margin and 0 <= found.gap <= 2 * GAP
    return found if right else None


def _keep(file: Path, found: Largest) -> None:
    """Write a file, where that is possible."""
    text = json.dumps(found._asdict() | {"weights": found.weights.tolist()})
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(file, lambda temporary: temporary.write_text(text))

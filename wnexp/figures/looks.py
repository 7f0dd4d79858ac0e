"""The colours and dashes that tell series apart, and the numbers in what they are called."""

import itertools
import re
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

import numpy as np
from matplotlib.colors import to_hex

from wnexp.errors import UserError
from wnexp.figures.style import DASHES, PALETTE, Scale, law_colour, look
from wnexp.runs.differences import changes_no_number, named

_MOST_NAMED_COLOURS = 6  # values of a number; more are told apart by a scale of colours


def give_looks(series: Sequence[Any], color_by: str | None = None, facet_by: str | None = None) -> Scale | None:
    """Give every series its colour and dash; the scale of the colours, if numbers are told apart by a scale.

    Norms have their own colours where nothing else differs. With `color_by`, or where more series than there are
    colours differ in a number, colours stand for that setting's value and dashes for the rest, but for the setting that
    makes facets. Raises `UserError` for a setting that there is not.
    """
    distinct_norms = len({one.norm for one in series}) == len(series)
    chosen = None if distinct_norms or len(series) <= len(PALETTE) else _most_varied(series)
    key = setting_of(series, color_by) if color_by else chosen
    if key is None:
        for index, one in enumerate(series):
            colour = law_colour(one.law) if distinct_norms else None
            one.look = {"color": colour, "linestyle": "-"} if colour else look(index)
        return None
    values = [one.value(key) for one in series]
    shown = {key, setting_of(series, facet_by) if facet_by else key}
    others = [tuple(value for name, value in one.settings.items() if name not in shown) for one in series]
    dashes = dict(zip(dict.fromkeys(others), itertools.cycle(DASHES), strict=False))
    scale = _scale(key, values)
    distinct = sorted(set(values), key=natural)
    for one, value, rest in zip(series, values, others, strict=True):
        colour = PALETTE[distinct.index(value) % len(PALETTE)]
        if scale is not None:
            colour = to_hex(scale.mappable().to_rgba(np.array([number(value)], float))[0])
        one.look = {"color": colour, "linestyle": dashes[rest]}
    return scale


def setting_of(series: Sequence[Any], name: str) -> str:
    """The setting of any of the series that a user calls by that name.

    Raises `UserError` for one that there is not, and for those in which the runs of a series may differ.
    """
    known = {key for one in series for key in one.made_by}
    found = named(name, known)
    if found is None:
        near = get_close_matches(name, sorted(key.removesuffix(".name") for key in known), n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UserError(f"no setting '{name}'{hint}")
    if changes_no_number(found):
        raise UserError(f"{name}: one series may have several values of it; allowed: settings that change numbers")
    return found


def _scale(key: str, values: Sequence[str]) -> Scale | None:
    """A scale for numbers of which there are more than one can name colours."""
    numbers = [found for found in map(number, values) if found is not None]
    enough = len(numbers) == len(values) and len(set(numbers)) > _MOST_NAMED_COLOURS
    return Scale(key.removesuffix(".name"), tuple(numbers)) if enough else None


def _most_varied(series: Sequence[Any]) -> str | None:
    """The setting that is a number and has most values, if these need a scale."""
    found = {key: len({one.settings[key] for one in series}) for key in series[0].settings}
    found = {key: count for key, count in found.items() if _scale(key, [one.settings[key] for one in series])}
    return max(found, key=found.__getitem__, default=None)


def number(value: str) -> float | None:
    """The finite number that a setting's text is, `[8]` too; None for any other."""
    with suppress(ValueError):
        found = float(value.removeprefix("[").removesuffix("]"))
        return found if np.isfinite(found) else None
    return None


def natural(label: str) -> list[tuple[float, str]]:
    """A key that sorts numbers in texts by their values."""
    parts = re.split(r"(-?\d+(?:\.\d+)?(?:e-?\d+)?)", label)
    return [(float(part), "") if place % 2 else (0.0, part) for place, part in enumerate(parts)]

"""Several seeds as one curve with a band."""

import numpy as np
import pandas as pd
import pytest

from wnexp.figures.seeds import deviation, over_seeds, quantiles, seeds_note
from wnexp.figures.series import Series
from wnexp.figures.style import panels


def curves(x="step", seeds=2):
    """Seed 0 ends at 2, seed 1 at 4, ten times as high."""
    one, other = {"x": [0, 1, 2], "y": [0.0, -1, -1]}, {"x": [0, 2, 4], "y": [0.0, -10, -10]}
    frames = [pd.DataFrame(rows).assign(seed=seed) for seed, rows in enumerate((one, other)[:seeds])]
    return pd.concat(frames).rename(columns={"x": x})


def drawn_over_seeds(x, **options):
    _, axes = panels(1, 1)
    over_seeds(axes[0, 0], curves(x), x, "y", "both", {"color": "#000000"}, **options)
    return axes[0, 0].lines[-1], axes[0, 0].collections[0].get_paths()[0].vertices


def test_a_finished_seed_stays_where_it_is_and_the_band_within_the_values():
    line, band = drawn_over_seeds("step")
    np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2, 4])
    np.testing.assert_allclose(line.get_ydata(), [0, -3, -5.5, -5.5])
    assert line.get_label() == "both", "a legend names a series once, however many seeds a panel has of it"
    assert -10 < band[:, 1].min() < -5.5 and band[:, 1].max() <= 0


def test_along_the_loss_a_seed_ends_where_it_ended():
    line, _ = drawn_over_seeds("depth")
    np.testing.assert_allclose(line.get_ydata(), [0, -3, -5.5, -10])


def test_one_standard_deviation_is_cut_at_the_values():
    low, middle, high = deviation(np.array([[-1.0], [-1.0], [-0.4]]))
    assert middle[0] == pytest.approx(-0.8) and low[0] == -1 and high[0] == pytest.approx(-0.8 + 0.2828, abs=1e-4)


@pytest.mark.parametrize(("seeds", "begin"), [([1, 1], ""), ([3, 3], "3 seeds: median"), ([16, 1], "1 to 16 seeds: m")])
def test_the_note_says_how_many_seeds_there_are(seeds, begin):
    series = [Series({}, [{"steps": pd.DataFrame({"seed": range(count)})}], {}) for count in seeds]
    note = seeds_note(series)
    assert note.startswith(begin) and bool(note) == bool(begin)


def test_the_bands_are_numpys_quantiles_without_its_loop_over_columns():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(16, 300))
    values[rng.random(values.shape) < 0.4] = np.nan
    values[0] = rng.normal(size=300)
    np.testing.assert_allclose(quantiles(values), np.nanquantile(values, (0.1, 0.5, 0.9), axis=0), rtol=1e-12)

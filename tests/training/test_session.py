"""A prepared run: devices, precision, seeds, checkpoints of another program."""

import numpy as np
import pytest

from tests.helpers import prepared
from wnexp.errors import UserError


def test_seeds_are_consecutive_and_each_has_its_own_weights():
    run = prepared("seed=7", "seeds=3")
    run.start()
    assert run.seeds.tolist() == [7, 8, 9]
    first = run.weights()[0]["weight"]
    assert first.shape == (3, 2, 8) and (first[0] != first[1]).all()
    alone = prepared("seed=8")
    alone.start()
    np.testing.assert_array_equal(alone.weights()[0]["weight"][0], first[1])


@pytest.mark.parametrize("norm", ["swn", "ewn"])
def test_the_three_norms_start_at_the_same_loss(norm):
    plain, normalized = prepared("norm=none", "seeds=4"), prepared(f"norm={norm}", "seeds=4")
    plain.start()
    normalized.start()
    np.testing.assert_allclose(normalized.log_losses(), plain.log_losses(), rtol=1e-13)


def test_a_checkpoint_of_another_program_is_refused():
    run = prepared("seeds=2")
    run.start()
    other = prepared("seeds=1")  # more seeds than two would start beside them
    with pytest.raises(UserError, match="another program"):
        other.state_of(run.leaves())
    again = prepared("seeds=2")
    again.restore(*again.state_of(run.leaves()))
    np.testing.assert_array_equal(again.log_losses(), run.log_losses())


@pytest.mark.parametrize(("precision", "size"), [("float32", 1e20), ("float64", 1e160)])
def test_inputs_whose_squares_overflow_are_refused(tmp_path, precision, size):
    for part, refused in (("test_x", True), ("train_x", True), ("none", False)):
        x = {name: np.array([[1.0, 0.2], [-1.0, 0.1]]) for name in ("train_x", "test_x")}
        if refused:
            x[part][0, 0] = -size
        np.savez(tmp_path / "d.npz", **x, train_y=[1, -1], test_y=[1, -1])
        overrides = ("data=file", f"data.path={tmp_path}/d.npz", f"precision={precision}", "model.widths=[]")
        if refused:
            with pytest.raises(UserError, match=f"{part} overflows {precision}: its inputs reach"):
                prepared(*overrides)
        else:
            prepared(*overrides)

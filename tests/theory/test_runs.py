"""The records of a run as the claims need them."""

import json
import shutil

import numpy as np
import pytest

from wnexp import theory
from wnexp.errors import UserError
from wnexp.runs.reader import Run


def test_records_of_every_seed_come_in_the_order_of_steps_and_neurons(lin_sep_runs):
    run = Run(lin_sep_runs / "ewn")
    loaded = theory.load_runs([run])[0]
    steps, neurons = run.frame("steps"), run.frame("neurons")
    assert [seed.seed for seed in loaded.seeds] == [0, 1] and loaded.outcomes == dict.fromkeys((0, 1), "target_reached")
    for seed in loaded.seeds:
        own = steps[steps["seed"] == seed.seed]
        np.testing.assert_array_equal(seed.depth, -own["log_loss"])
        assert seed.norms.shape == seed.log_gradients.shape == (len(own), 9)
        assert seed.layers.tolist() == [0] * 8 + [1]
        one = neurons[(neurons["seed"] == seed.seed) & (neurons["layer"] == 0) & (neurons["neuron"] == 5)]
        np.testing.assert_array_equal(seed.norms[:, 5], one["weight_norm"])
        np.testing.assert_array_equal(seed.log_gradients[:, 5], one["log_gradient_norm"])
        np.testing.assert_array_equal(seed.alignments[:, 5], one["alignment"])


def test_runs_without_records_are_one_line(inside, lin_sep_runs, tmp_path):
    run = shutil.copytree(lin_sep_runs / "none", tmp_path / "copy")
    (run / "steps.parquet").write_bytes(b"PAR1")
    code, _, err = inside("verify", run)
    assert code == 1 and "not a readable parquet file" in err and len(err.splitlines()) == 1
    (run / "steps.parquet").unlink()
    assert "no records yet" in inside("verify", run)[2]
    assert json.loads((run / "run.json").read_text())["status"] == "finished"
    with pytest.raises(UserError, match="no records yet"):
        theory.load_runs([Run(run)])

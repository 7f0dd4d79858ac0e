"""What holds for the records of every finished run, whatever was asked for."""

import json
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wnexp.measures import MEASURES
from wnexp.training.seed import OUTCOMES

_DESCENDS = ("gd", "sgd", "sgd_clipped", "flow")
# Column -> its smallest and largest value.
_BOUNDS = {
    "alignment": (-1, 1),
    "limit_cosine": (-1, 1),
    "train_accuracy": (0, 1),
    "test_accuracy": (0, 1),
    "norm_ratio": (0, 1),
    "loss_share": (0, 1),
    "kkt_epsilon": (0, np.inf),
    "weight_norm": (0, np.inf),
    "step": (0, np.inf),
}


class Table(NamedTuple):
    """A table of the records: its columns beside seed and step, and what its rows are one of."""

    columns: dict[str, tuple[str, str]]
    axes: tuple[str, ...]
    names: tuple[str, ...]


def recorded_tables():
    """Every table that the measures fill, scratch too, by name."""
    found = {}
    for measure in MEASURES.values():
        earlier = found[measure.table].columns if measure.table in found else {}
        found[measure.table] = Table(earlier | measure.columns, measure.axes, measure.names)
    return found


def columns_of(name):
    """The columns of a table in their order."""
    table = recorded_tables()[name]
    return ["seed", "step", *table.axes, *table.columns]


def check_run(folder, sampled=True):
    """Check the tables and `run.json` of a finished run; `sampled`: few enough samples to record them.

    Returns the status and the `steps` by seed.
    """
    status = json.loads((folder / "run.json").read_text(), parse_constant=_refuse)
    tables = {name: pq.read_table(folder / f"{name}.parquet") for name in ("steps", "neurons", "samples")}
    for name, table in tables.items():
        assert table.column_names == columns_of(name)
        _check_numbers(name, table)
    assert status["status"] == "finished" and "error" not in status
    seeds = [entry["seed"] for entry in status["seeds"]]
    assert seeds == list(range(status["config"]["seed"], status["config"]["seed"] + status["config"]["seeds"]))
    assert all(entry["outcome"] in OUTCOMES[1:] for entry in status["seeds"])
    assert sorted(set(tables["steps"]["seed"].to_pylist())) == seeds
    by_seed = {}
    for entry in status["seeds"]:
        mine = {name: table.filter(pc.field("seed") == entry["seed"]) for name, table in tables.items()}
        by_seed[entry["seed"]] = _check_seed(status["config"], entry, sampled, **mine)
    return status, by_seed


def _refuse(constant):
    raise AssertionError(f"{constant} in run.json")


def _check_numbers(name, table):
    for key in table.column_names:
        column = table[key].combine_chunks()
        column = column.flatten() if pa.types.is_list(column.type) else column
        values = column.drop_null().to_numpy(zero_copy_only=False)
        assert np.isfinite(values).all(), f"{name}.{key} holds NaN or infinity, not null"
        low, high = _BOUNDS.get(key, (-np.inf, np.inf))
        assert ((values >= low) & (values <= high)).all(), f"{name}.{key} from {values.min()} to {values.max()}"


def _check_seed(config, entry, sampled, steps, neurons, samples):
    """One seed: a row of `steps` a record, its items in the other tables, the last row what `run.json` says."""
    order = steps["step"].to_numpy()
    assert order[0] == 0 and (np.diff(order) > 0).all() and order[-1] == entry["step"] <= config["stop.max_steps"]
    attempts = steps["attempts"].to_numpy()
    assert (attempts >= order).all() and (np.diff(attempts) > 0).all() and attempts[-1] <= entry["attempts"]
    log_loss = steps["log_loss"].to_numpy()
    if entry["outcome"] != "non_finite":
        for key in ("log_loss", "weight_norm", "margin", "train_accuracy", "log_time", "step_size"):
            nulls = steps[key].null_count
            assert nulls == (key == "log_time"), f"{nulls} nulls in steps.{key}"  # no time has passed at first
        assert log_loss[-1] == entry["log_loss"]
    if config["norm.name"] != "ewn":  # exp(alpha) may underflow
        assert (neurons["weight_norm"].drop_null().to_numpy() > 0).all(), "a neuron of no weight"
    if config["optimizer.name"] in _DESCENDS:
        assert (np.diff(log_loss[np.isfinite(log_loss)]) <= 0).all(), "the loss rose at an accepted step"
    for table, index in ((neurons, ("layer", "neuron")), (samples, ("sample",))):
        items = len(table) // len(steps)
        if table is samples and not sampled:
            assert len(table) == 0
            continue
        assert items > 0 and len(table) == items * len(steps), "a record lacks rows"
        np.testing.assert_array_equal(table["step"].to_numpy(), np.repeat(order, items))
        keys = np.stack([table[key].to_numpy() for key in index], axis=1).reshape(len(steps), items, -1)
        assert (keys == keys[0]).all() and len(np.unique(keys[0], axis=0)) == items, "rows twice or missing"
    if config.get("model.bias", "none") == "none" and entry["outcome"] != "non_finite":
        norms, total = neurons["weight_norm"].to_numpy().reshape(len(steps), -1), steps["weight_norm"].to_numpy()
        parts = norms / np.where(total > 0, total, 1)[:, None]
        np.testing.assert_allclose((parts**2).sum(axis=1), np.sign(total), rtol=1e-5)
    return steps

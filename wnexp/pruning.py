"""Pruning: accuracy against the share of hidden neurons removed, from the snapshots of a run.

A *level* is a snapshot at a log loss (`snapshots=[-10,-100,-300]`). At every level the hidden neurons are ranked by

* `final_norm`: `||w_u||` there;
* `change_from_initial`: `||w_u||` there minus at initialization (signed: neurons that shrank go first);
* `change_from_-10`, ...: minus at each earlier level;

and of every hidden layer the `int(percent * neurons / 100)` lowest are removed (Morwani and Ramaswamy, section 6). With
`together=True` the same share of all hidden neurons, over layers, is.
"""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from jaxtyping import Array, Float, Int
from omegaconf import OmegaConf

from wnexp.data.dataset import Dataset
from wnexp.errors import UserError
from wnexp.nn import losses, network
from wnexp.nn import weights as weight_files
from wnexp.nn.network import Network
from wnexp.runner import reopen
from wnexp.runs import moved, snapshots, tables
from wnexp.runs.files import write_table
from wnexp.runs.reader import Run
from wnexp.training.devices import open_devices
from wnexp.training.program import MOST_ACTIVATIONS

PERCENTS = tuple(range(0, 100, 5))
COLUMNS: tables.Columns = {
    "seed": ("integer", "random seed"),
    "norm": ("text", "the option of the group norm"),
    "log_loss": ("real", "nats; the snapshot's log loss"),
    "score": ("text", "what the hidden neurons were ranked by"),
    "percent": ("real", "percent of the hidden neurons removed, lowest score first"),
    "test_accuracy": ("real", "fraction of test samples with positive margin"),
    "train_accuracy": ("real", "fraction of training samples with positive margin"),
}

Norms = list[np.ndarray]  # ||w_u|| of every hidden layer, (neurons,) each


class NothingToPrune(UserError):
    """A run that has no snapshots at log losses, or no hidden neurons: left out where others can be pruned."""


class Prunable(NamedTuple):
    """A run that has snapshots: what is needed to put data through its networks."""

    run: Run
    norm: str
    model: Any
    precision: str
    dataset: Dataset
    network: Network
    elsewhere: Mapping[str, str]  # setting -> where its file is now


def hidden_layers(architecture: Network) -> range:
    """The layers whose neurons can be removed: all but the last."""
    return range(len(architecture.layers) - 1)


def norms(weights, layers: range) -> Norms:
    """`||w_u||` of every neuron of the given layers, in float64."""
    arrays = [np.asarray(weights[layer]["weight"], float) for layer in layers]
    return [np.sqrt(np.square(array).sum(axis=tuple(range(array.ndim - 1)))) for array in arrays]


def scores(at: float, history: Mapping[float, Norms], initial: Norms) -> dict[str, Norms]:
    """Score -> one array per hidden layer, at the level `at`; `history` holds the norms at every level."""
    now = history[at]
    earlier = {"initial": initial} | {f"{level:g}": history[level] for level in sorted(history, reverse=True)}
    earlier = {name: before for name, before in earlier.items() if name == "initial" or float(name) > at}
    changes = {
        f"change_from_{name}": [a - b for a, b in zip(now, before, strict=True)] for name, before in earlier.items()
    }
    return {"final_norm": now} | changes


def gates(score: Norms, percents: Sequence[float | int], together: bool = False) -> list[np.ndarray]:
    """For every hidden layer `(percents, neurons)`: 0 for the neurons removed, 1 for the others; ties by index."""
    if together:
        sizes = np.cumsum([len(layer) for layer in score])[:-1]
        return np.split(gates([np.concatenate(score)], percents)[0], sizes, axis=1)
    kept = []
    for layer in score:
        rank = np.argsort(np.argsort(layer, kind="stable"), kind="stable")
        cuts = np.array([int(percent * len(layer) / 100) for percent in percents])
        kept.append((rank >= cuts[:, None]).astype(np.float32))
    return kept


@jax.jit(static_argnames=("architecture", "block"))
def accuracies(
    architecture: Network, weights, kept, x: Float[Array, "n d"], y: Int[Array, " n"], block: int
) -> Float[Array, " percents"]:
    """Accuracy of the network with each row of gates `(percents, neurons)`: a whole curve is one program."""

    def correct(sample):
        def with_gates(gate):
            outputs = network.apply(architecture, weights, sample[0][None], [*gate, None])
            return jnp.min(losses.margins(outputs, sample[1][None])) > 0

        return jax.vmap(with_gates)(kept)

    return jnp.mean(jax.lax.map(correct, (x, y), batch_size=block), axis=0, dtype=float)


def smaller(weights, kept: Sequence[np.ndarray]):
    """The layers without the neurons whose gate is 0, and without the weights that met their outputs.

    Raises `UserError` if a layer is left empty.
    """
    layers = [{key: np.asarray(value) for key, value in layer.items()} for layer in weights]
    for index, gate in enumerate(kept):
        left = np.flatnonzero(gate)
        if not len(left):
            raise UserError(f"nothing is left of layer {index}; remove fewer neurons")
        layers[index] = {key: value[..., left] for key, value in layers[index].items()}
        after = layers[index + 1]["weight"]  # a dense layer after a convolution sees every place of each channel
        by_neuron = after.reshape(*after.shape[:-2], -1, len(gate), after.shape[-1])[..., left, :]
        layers[index + 1]["weight"] = by_neuron.reshape(*after.shape[:-2], -1, after.shape[-1])
    return layers


def open_run(run: Run, elsewhere: Mapping[str, str] | None = None) -> Prunable:
    """Rebuild what a run trained, its files at the places `elsewhere`: setting -> path.

    Raises `UserError`, `NothingToPrune` where it has no snapshots or hidden neurons.
    """
    directory = run.directory
    if not run.snapshot_losses:
        message = f"{directory} has no snapshots at log losses; train with snapshots=[-10,-100], for instance"
        raise NothingToPrune(message)
    if not run.seeds:
        raise NothingToPrune(f"{directory} has no seed recorded yet; `wnexp runs` shows whether it is still running")
    reopened = reopen(run, elsewhere)
    config = reopened.config
    if changed := moved.changed_files(run, config):
        told = ", ".join(f"{key}={what}" for key, what in changed.items())
        raise UserError(f"{directory}: files it was trained on are not where or what they were: {told}")
    if not hidden_layers(reopened.network):
        raise NothingToPrune(f"{directory}: a network without hidden layers has no neurons to remove")
    return Prunable(
        run=run,
        norm=config.names["norm"],
        model=config.model,
        precision=config.precision,
        dataset=reopened.dataset,
        network=reopened.network,
        elsewhere=elsewhere or {},
    )


def _load(of: Prunable, seed: int, name: str):
    arrays = of.run.weights(seed, name)
    source = str(snapshots.path(of.run.directory, seed, name))
    return None if arrays is None else weight_files.from_arrays(arrays, of.network, of.precision, source)


def _wanted(run: Run, asked: Sequence[str] | None) -> list[str]:
    known = ["final_norm", "change_from_initial", *(f"change_from_{level:g}" for level in run.snapshot_losses[:-1])]
    for name in asked or ():
        if name not in known:
            raise UserError(f"score '{name}' is unknown for {run.directory}; allowed: {', '.join(known)}")
    return list(asked or known)


class Pruned(NamedTuple):
    """What pruning a run gave."""

    rows: list[dict[str, Any]]  # of pruning.parquet
    saved: list[tuple[Path, str]]  # networks written, and the commands that train them on


def prune_all(runs: Sequence[Run], *arguments, **options) -> dict[Run, Pruned]:
    """`prune` every run; of several, one with nothing to prune is left out with a line on standard error."""
    results = {}
    for index, run in enumerate(runs):
        try:
            results[run] = prune(run, *arguments, **options)
        except NothingToPrune as error:
            if not results and index == len(runs) - 1:
                raise
            print(f"wnexp: left out: {error}", file=sys.stderr)
    return results


def prune(
    run: Run,
    percents: Sequence[float | int] = PERCENTS,
    asked: Sequence[str] | None = None,
    together: bool = False,
    save: float | int | None = None,
    elsewhere: Mapping[str, str] | None = None,
) -> Pruned:
    """The curves of one run, written to `pruning.parquet`, its files at the places `elsewhere`: setting -> path.

    `asked` are the scores (None: all); `save` writes every level's network without that percent of its neurons, by
    the first score asked for, as `pruned=90,score=final_norm,ranked=layer,log_loss=-300.safetensors`.
    Raises `UserError`.
    """
    of = open_run(run, elsewhere)
    wanted, ranked_by = _wanted(run, asked), "global" if together else "layer"
    device = open_devices("auto", of.precision)[0]
    data = of.dataset
    if data.real:
        raise UserError(f"{run.directory}: its labels are real numbers, and pruning measures the accuracy of classes")
    parts = {"test_accuracy": (data.test_x, data.test_y), "train_accuracy": (data.train_x, data.train_y)}
    parts = {key: (x.astype(of.precision, copy=False), y) for key, (x, y) in parts.items() if len(x)}
    parts = jax.device_put(parts, device)
    block = max(1, MOST_ACTIVATIONS // (4 * of.network.activations * len(percents)))
    result, hidden = Pruned([], []), hidden_layers(of.network)
    for seed in run.seeds:
        initial = _load(of, seed, snapshots.INITIAL)
        weights = {level: _load(of, seed, snapshots.at(level)) for level in run.snapshot_losses}
        reached = {level: layers for level, layers in weights.items() if layers is not None}
        if initial is None:
            raise UserError(f"{run.directory}: seed {seed} has no snapshot '{snapshots.INITIAL}' to compare with")
        history = {level: norms(layers, hidden) for level, layers in reached.items()}
        for level, layers in reached.items():
            ranked = scores(level, history, norms(initial, hidden))
            for score in [name for name in wanted if name in ranked]:
                kept = gates(ranked[score], percents, together)
                curves = {key: accuracies(of.network, layers, kept, x, y, block) for key, (x, y) in parts.items()}
                what = {"seed": seed, "norm": of.norm, "log_loss": level, "score": score}
                for index, percent in enumerate(percents):
                    accuracy = {key: float(curve[index]) for key, curve in curves.items()}
                    result.rows.append(what | {"percent": float(percent)} | accuracy)
            if save is not None and wanted[0] in ranked:
                gate = [row[0] for row in gates(ranked[wanted[0]], [save], together)]
                name = f"pruned={save:g},score={wanted[0]},ranked={ranked_by},{snapshots.at(level)}"
                left = smaller(layers, gate)
                path = snapshots.write(run.directory, seed, name, weight_files.to_arrays(left))
                result.saved.append((path, _command(of, seed, path, left)))
    table = pa.Table.from_pylist(result.rows, tables.schema(COLUMNS))
    write_table(run.directory / "pruning.parquet", table.replace_schema_metadata({"wnexp.ranked": ranked_by}))
    return result


_REPLACED = ("model.widths=", "model.depth=", "model.channels=", "model.fixed_output=", "model.initial_weights=")
_REPLACED += ("optimizer.first_reference=", "seed=", "seeds=", "overwrite=")


def _command(of: Prunable, seed: int, path: Path, layers) -> str:
    """The command that trains a smaller network on: the run's own, with the sizes and weights of the network."""
    stored = of.run.directory / ".hydra" / "overrides.yaml"
    overrides = [str(text) for text in OmegaConf.load(stored)] if stored.is_file() else []
    replaced = (*_REPLACED, *(f"{key}=" for key in of.elsewhere))
    words = [text for text in overrides if not text.lstrip("+").startswith(replaced)]
    words += [f"{key}={place}" for key, place in of.elsewhere.items() if key != "model.initial_weights"]
    shown = path.resolve()
    shown = shown.relative_to(Path.cwd()) if shown.is_relative_to(Path.cwd()) else shown
    words += [f"seed={seed}", *_sizes(of.model, layers), f"model.initial_weights={shown}"]
    words += ["optimizer.first_reference=start"] if "optimizer.first_reference" in of.run.settings else []
    return shlex.join(["wnexp", "train", *words])


def _sizes(model: Any, layers) -> list[str]:
    """The settings that describe a smaller network."""
    counts = [layer["weight"].shape[-1] for layer in layers[:-1]]
    convolutions = [count for count, layer in zip(counts, layers, strict=False) if layer["weight"].ndim == 4]
    remaining = iter(convolutions)
    channels = [entry if entry == "M" else next(remaining) for entry in getattr(model, "channels", ())]
    settings = {"model.widths": counts[len(convolutions) :]} | ({"model.channels": channels} if channels else {})
    if getattr(model, "fixed_output", None) is not None:
        settings["model.fixed_output"] = layers[-1]["weight"][:, 0].tolist()
    words = [f"{key}=[{','.join(map(str, values))}]" for key, values in settings.items()]
    return words + (["model.depth=null"] if getattr(model, "depth", None) is not None else [])

"""Pruning: accuracy against the share of hidden neurons removed, from the snapshots of a run.

A *level* is a snapshot at a log loss (`snapshots=[-10,-100,-300]`). At every level the hidden neurons are ranked by

* `final_norm`: `||w_u||` there;
* `change_from_initial`: `||w_u||` there minus at initialization (signed: neurons that shrank go first);
* `change_from_-10`, ...: minus at each earlier level;

and of every hidden layer the `int(percent * neurons / 100)` lowest are removed (Morwani and Ramaswamy, section 6). With
`together=True` the same share of all hidden neurons, over layers, is.
"""

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from omegaconf import OmegaConf

from wnexp import build, losses, network, records
from wnexp import data as datasets
from wnexp.config import Config, UserError, from_flat
from wnexp.devices import open_devices
from wnexp.tables import pruning_table

PERCENTS = tuple(range(0, 100, 5))
_SNAPSHOT = re.compile(r"log_loss=(-?[\d.]+(?:e[+-]?\d+)?)")

Norms = list[np.ndarray]  # ||w_u|| of every hidden layer, (neurons,) each


class NothingToPrune(UserError):
    """A run that has no snapshots at log losses, or no hidden neurons: left out where others can be pruned."""


class Run(NamedTuple):
    """A run that has snapshots: what is needed to put data through its networks."""

    directory: Path
    config: Config
    dataset: datasets.Dataset
    network: network.Network
    seeds: list[int]


def hidden_layers(architecture: network.Network) -> range:
    """The layers whose neurons can be removed: all but the last."""
    return range(len(architecture.layers) - 1)


def norms(weights, layers: range) -> Norms:
    """`||w_u||` of every neuron of the given layers, in float64."""
    arrays = [np.asarray(weights[layer]["weight"], float) for layer in layers]
    return [np.sqrt(np.square(array).sum(axis=tuple(range(array.ndim - 1)))) for array in arrays]


def scores(at: float, history: Mapping[float, Norms], initial: Norms) -> dict[str, Norms]:
    """Score -> one array a hidden layer, at the level `at`; `history` holds the norms at every level."""
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
    architecture: network.Network, weights, kept, x: Float[Array, "n d"], y: Int[Array, " n"], block: int
) -> Float[Array, " percents"]:
    """Accuracy of the network with each row of gates `(percents, neurons)`: a whole curve is one program."""

    def correct(sample):
        def with_gates(gate):
            outputs = network.apply(architecture, weights, sample[0][None], [*gate, None])
            return jnp.min(losses.margins(outputs, sample[1][None])) > 0

        return jax.vmap(with_gates)(kept)

    return jnp.mean(jax.lax.map(correct, (x, y), batch_size=block), axis=0, dtype=float)


def smaller(weights, kept: Sequence[np.ndarray]):
    """The layers without the neurons whose gate is 0 and what they fed. Raises `UserError` if a layer is left empty."""
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


def open_run(directory: Path) -> Run:
    """Read what a run was. Raises `UserError`, `NothingToPrune` where it has no snapshots or no hidden neurons."""
    status = records.read_status(directory)
    if status is None:
        raise UserError(f"{directory} holds no run")
    if not levels(directory):
        message = f"{directory} has no snapshots at log losses; train with snapshots=[-10,-100], for instance"
        raise NothingToPrune(message)
    if not status["seeds"]:
        raise NothingToPrune(f"{directory} has no seed recorded yet; `wnexp runs` shows whether it is still running")
    config = from_flat(status["config"])
    changed = [key for key in records.differing_keys(status["config"], records.identity(config)) if "sha256" in key]
    if changed:
        raise UserError(f"{directory}: the files it was trained on have changed: {', '.join(changed)}")
    dataset = datasets.load(config.data)
    architecture = build.build_network(config, dataset)
    if not hidden_layers(architecture):
        raise NothingToPrune(f"{directory}: a network without hidden layers has no neurons to remove")
    return Run(directory, config, dataset, architecture, [entry["seed"] for entry in status["seeds"]])


def levels(directory: Path) -> list[float]:
    """The log losses at which any seed has a snapshot, in the order they were reached."""
    names = {path.stem for path in (directory / "snapshots").glob("seed=*/log_loss=*.safetensors")}
    return sorted((float(match[1]) for name in names if (match := _SNAPSHOT.fullmatch(name))), reverse=True)


def _load(run: Run, seed: int, name: str):
    path = run.directory / "snapshots" / f"seed={seed}" / f"{name}.safetensors"
    if not path.exists():
        return None
    return build.as_layers(records.load_weights(path), run.network, run.config.precision, str(path))


def _wanted(run: Run, asked: Sequence[str] | None) -> list[str]:
    known = ["final_norm", "change_from_initial", *(f"change_from_{level:g}" for level in levels(run.directory)[:-1])]
    for name in asked or ():
        if name not in known:
            raise UserError(f"score '{name}' is unknown for {run.directory}; allowed: {', '.join(known)}")
    return list(asked or known)


class Pruned(NamedTuple):
    """What pruning a run gave."""

    rows: list[dict[str, Any]]  # of pruning.parquet
    saved: list[tuple[Path, str]]  # networks written, and the commands that train them on


def prune_all(runs: Sequence[Path], *arguments, **options) -> dict[Path, Pruned]:
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
    directory: Path,
    percents: Sequence[float | int] = PERCENTS,
    asked: Sequence[str] | None = None,
    together: bool = False,
    save: float | int | None = None,
) -> Pruned:
    """The curves of one run, written to `pruning.parquet`.

    `asked` are the scores (None: all); `save` writes every level's network without that percent of its neurons, by
    the first score asked for, as `pruned=90,score=final_norm,ranked=layer,log_loss=-300.safetensors`.
    Raises `UserError`.
    """
    run = open_run(directory)
    wanted = _wanted(run, asked)
    ranked_by = "global" if together else "layer"
    device = open_devices("auto", run.config.precision)[0]
    hidden = hidden_layers(run.network)
    parts = {"test_accuracy": run.dataset[2:4], "train_accuracy": run.dataset[:2]}
    parts = {key: (x.astype(run.config.precision, copy=False), y) for key, (x, y) in parts.items() if len(x)}
    parts = jax.device_put(parts, device)
    block = max(1, build.MOST_ACTIVATIONS // (4 * run.network.activations * len(percents)))
    result = Pruned([], [])
    for seed in run.seeds:
        initial = _load(run, seed, "initial")
        weights = {level: _load(run, seed, f"log_loss={level:.12g}") for level in levels(directory)}
        reached = {level: layers for level, layers in weights.items() if layers is not None}
        if initial is None:
            raise UserError(f"{directory}: seed {seed} has no initial snapshot")
        history = {level: norms(layers, hidden) for level, layers in reached.items()}
        for level, layers in reached.items():
            ranked = scores(level, history, norms(initial, hidden))
            for score in [name for name in wanted if name in ranked]:
                kept = gates(ranked[score], percents, together)
                curves = {key: accuracies(run.network, layers, kept, x, y, block) for key, (x, y) in parts.items()}
                what = {"seed": seed, "norm": run.config.norm.name, "log_loss": level, "score": score}
                for index, percent in enumerate(percents):
                    accuracy = {key: float(curve[index]) for key, curve in curves.items()}
                    result.rows.append(what | {"percent": float(percent)} | accuracy)
            if save is not None and wanted[0] in ranked:
                gate = [row[0] for row in gates(ranked[wanted[0]], [save], together)]
                name = f"pruned={save:g},score={wanted[0]},ranked={ranked_by},log_loss={level:.12g}.safetensors"
                path = directory / "snapshots" / f"seed={seed}" / name
                left = smaller(layers, gate)
                records.save_weights(path, left)
                result.saved.append((path, _command(run, seed, path, left)))
    table = pruning_table(result.rows).replace_schema_metadata({"wnexp.ranked": ranked_by})
    records.write_table(directory / "pruning.parquet", table)
    return result


_REPLACED = ("model.widths=", "model.depth=", "model.channels=", "model.fixed_output=", "model.initial_weights=")
_REPLACED += ("seed=", "seeds=", "overwrite=")


def _command(run: Run, seed: int, path: Path, layers) -> str:
    """The command that trains a smaller network on: the run's own, with the sizes and weights of the network."""
    stored = run.directory / ".hydra" / "overrides.yaml"
    overrides = [str(text) for text in OmegaConf.load(stored)] if stored.is_file() else []
    words = [text for text in overrides if not text.lstrip("+").startswith(_REPLACED)]
    shown = path.resolve()
    shown = shown.relative_to(Path.cwd()) if shown.is_relative_to(Path.cwd()) else shown
    words += [f"seed={seed}", *_sizes(run.config, layers), f"model.initial_weights={shown}"]
    return shlex.join(["wnexp", "train", *words])


def _sizes(config: Config, layers) -> list[str]:
    """The settings that describe a smaller network."""
    counts = [layer["weight"].shape[-1] for layer in layers[:-1]]
    convolutions = [count for count, layer in zip(counts, layers, strict=False) if layer["weight"].ndim == 4]
    remaining = iter(convolutions)
    channels = [entry if entry == "M" else next(remaining) for entry in config.model.channels]
    settings = {"model.widths": counts[len(convolutions) :]} | ({"model.channels": channels} if channels else {})
    if config.model.fixed_output is not None:
        settings["model.fixed_output"] = layers[-1]["weight"][:, 0].tolist()
    words = [f"{key}=[{','.join(map(str, values))}]" for key, values in settings.items()]
    return words + (["model.depth=null"] if config.model.depth is not None else [])

"""The configuration: a typed schema for what Hydra composed, and its validation."""

import copy
import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, get_args

from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException, ValidationError

from wnexp.naming import run_directory

Row = TypeVar("Row")

GROUPS = ("data", "model", "norm", "loss", "optimizer", "experiment")


class UserError(Exception):
    """Something the user can mend: shown as its message alone, exit code 1."""


@dataclass(frozen=True)
class DataConfig:
    name: str = MISSING
    path: str | None = None
    seed: int = 0
    train_per_class: int = 2
    test_per_class: int = 50
    inputs: int = 10
    dir: str | None = None
    labels: str = "classes"
    train_samples: int | None = None


@dataclass(frozen=True)
class ModelConfig:
    name: str = MISSING
    widths: list[int] = field(default_factory=list)
    depth: int | None = None
    channels: list[Any] = field(default_factory=list)
    activation: str = "linear"
    bias: str = "none"
    fixed_output: list[float] | None = None
    init: str = "uniform"
    initial_weights: str | None = None
    starts: Any = None  # a list of lists of numbers, checked where the number of inputs is known


@dataclass(frozen=True)
class NormConfig:
    name: str = MISSING
    layers: str = "all"
    v_norm: float = 1.0
    output_v: str = "scaled"


@dataclass(frozen=True)
class LossConfig:
    name: str = MISSING
    reduction: str = "sum"


@dataclass(frozen=True)
class OptimizerConfig:
    name: str = MISSING
    step_size: float = 0.01
    step_size_cap: float | None = None
    frac: float = 1.0
    factor: float = 1.1
    shrink: float | None = None
    batch_size: int | None = None
    tolerance: float = 1e-8
    solver: str = "rosenbrock"
    variables: str = "weights"


@dataclass(frozen=True)
class StopConfig:
    log_loss: float = -300.0
    max_steps: int = 40000


@dataclass(frozen=True)
class RecordConfig:
    every: int | None = None
    points: int = 400
    max_direction: int = 16
    max_samples: int = 128
    max_gradient: int = 32768


@dataclass(frozen=True)
class Config:
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    norm: NormConfig = field(default_factory=NormConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    stop: StopConfig = field(default_factory=StopConfig)
    record: RecordConfig = field(default_factory=RecordConfig)
    seed: int = 0
    seeds: int = 1
    precision: str = "float64"
    device: str = "auto"
    overwrite: bool = False
    outputs: str = "outputs"
    snapshots: list[float] = field(default_factory=list)


SECTIONS = {
    entry.name: [f"{entry.name}.{leaf.name}" for leaf in dataclasses.fields(entry.type)]
    for entry in dataclasses.fields(Config)
    if entry.name not in GROUPS and isinstance(entry.type, type) and dataclasses.is_dataclass(entry.type)
}
# The keys whose values are names without a table of functions; `choose` serves those that have one.
_CHOICES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("data.labels", ("classes", "parity")),
    ("model.name", ("mlp", "cnn", "diagonal")),
    ("model.bias", ("none", "first")),
    ("norm.layers", ("all", "hidden")),
    ("norm.output_v", ("scaled", "raw")),
    ("loss.reduction", ("sum", "mean")),
    ("optimizer.solver", ("rosenbrock", "tsit5")),
    ("optimizer.variables", ("weights", "parameters")),
    ("precision", ("float32", "float64")),
    ("device", ("auto", "cpu", "gpu", "tpu")),
)
# What numbers may be: (key, what is allowed, test). A key that is None passes.
_POSITIVE = "a number above 0"


def _are_channels(entries: list[Any]) -> bool:
    sizes = [entry for entry in entries if entry != "M"]
    doubled = any(pair == ("M", "M") for pair in pairwise(entries))
    return all(type(size) is int and 1 <= size < 2**31 for size in sizes) and entries[:1] != ["M"] and not doubled


_RANGES: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
    ("seed", "an integer from 0 to 2^32 - 1", lambda v: 0 <= v < 2**32),
    ("seeds", "an integer of at least 1, at most 1,000,000", lambda v: 1 <= v <= 10**6),
    ("data.seed", "an integer of at least 0", lambda v: v >= 0),
    ("data.train_per_class", "an integer of at least 1, below 2^31", lambda v: 1 <= v < 2**31),
    ("data.test_per_class", "an integer of at least 0, below 2^31", lambda v: 0 <= v < 2**31),
    ("data.inputs", "an integer of at least 1, below 2^31", lambda v: 1 <= v < 2**31),
    ("data.train_samples", "an integer of at least 1, or null for all", lambda v: v >= 1),
    ("model.depth", "an integer from 1 to 1000, or null", lambda v: 1 <= v <= 1000),
    ("model.channels", 'a list of integers of at least 1 and "M" after them, like [16,M]', _are_channels),
    ("model.widths", "a list of integers of at least 1, below 2^31", lambda v: all(1 <= width < 2**31 for width in v)),
    ("norm.v_norm", _POSITIVE, lambda v: v > 0),
    ("optimizer.step_size", _POSITIVE, lambda v: v > 0),
    ("optimizer.step_size_cap", "a number above 0, or null for no cap", lambda v: v > 0),
    ("optimizer.frac", "a number of at least 0", lambda v: v >= 0),
    ("optimizer.factor", "a number above 1", lambda v: v > 1),
    ("optimizer.shrink", "a number above 1, or null for optimizer.factor", lambda v: v > 1),
    ("optimizer.batch_size", "an integer of at least 1", lambda v: v >= 1),
    ("optimizer.tolerance", "a number from 1e-13 to 0.01", lambda v: 1e-13 <= v <= 0.01),
    ("stop.max_steps", "an integer of at least 1, below 2^62", lambda v: 1 <= v < 2**62),
    ("record.every", "an integer of at least 1, below 2^62, or null", lambda v: 1 <= v < 2**62),
    ("record.points", "an integer of at least 2", lambda v: v >= 2),
    ("record.max_direction", "an integer of at least 0", lambda v: v >= 0),
    ("record.max_samples", "an integer of at least 0", lambda v: v >= 0),
    ("record.max_gradient", "an integer of at least 0", lambda v: v >= 0),
)


def configs_folder() -> Path:
    """The folder of the configuration files: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    packaged = package / "conf"
    return packaged if packaged.is_dir() else package.parent / "conf"


def option_names(group: str) -> list[str]:
    """The options of a group that come with the package."""
    return sorted(path.stem for path in (configs_folder() / group).glob("*.yaml"))


def typed(composed: DictConfig) -> Config:
    """The validated configuration. Raises `UserError` that names the key, what came and what is allowed."""
    schema = OmegaConf.structured(Config)
    _clear_read_only(schema)
    try:
        config = OmegaConf.to_object(OmegaConf.merge(schema, _with_whole_numbers(composed)))
    except ConfigKeyError as error:
        raise UserError(unknown_key(str(error.full_key))) from None
    except ValidationError as error:
        reason = str(error).splitlines()[0]
        reason = "a list is needed, like [8]" if "is not a ListConfig" in reason else reason
        reason = "null is not allowed" if re.search("not Optional|NoneType|'None'", reason) else reason
        raise UserError(f"{error.full_key}: {reason}") from None
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key or 'configuration'}: {str(error).splitlines()[0]}") from None
    assert isinstance(config, Config)
    for key in _leaves(Config):
        if not _is_finite(value := _select(config, key)):
            raise UserError(f"{key}={value} is not finite; allowed: finite numbers")
    for key, allowed in _CHOICES:
        choose(dict.fromkeys(allowed), key, _select(config, key))
    for key, allowed, test in _RANGES:
        value = _select(config, key)
        if value is not None and not test(value):
            raise UserError(f"{key}={value} is out of range; allowed: {allowed}")
    if config.seed + config.seeds > 2**32:
        raise UserError(f"seed={config.seed} seeds={config.seeds}: the last seed must be below 2^32")
    return config


def _is_finite(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _with_whole_numbers(composed: DictConfig) -> DictConfig:
    """1e2 as 100 where the schema asks for integers: YAML and Hydra read it as a real number."""
    composed = copy.deepcopy(composed)
    OmegaConf.resolve(composed)  # the schema checks values, not what an interpolation becomes later
    for key, kind in _leaves(Config).items():
        value = OmegaConf.select(composed, key) if int in (kind, *get_args(kind)) else None
        if isinstance(value, ListConfig):
            OmegaConf.update(composed, key, [_whole(entry) for entry in value])
        elif _whole(value) is not value:
            OmegaConf.update(composed, key, _whole(value))
    return composed


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def choose(table: Mapping[str, Row], key: str, name: str) -> Row:
    """The table's row of that name. Raises `UserError` that lists the known names."""
    if name not in table:
        raise UserError(f"{key}={name} is unknown; allowed: {', '.join(table)}")
    return table[name]


def unknown_key(key: str) -> str:
    """The message for a key outside the schema, with the nearest known ones."""
    names = [*GROUPS, *_leaves(Config)]
    if key in names:
        return f"{key} is no setting of the options chosen; `wnexp train --cfg job` lists theirs"
    near = get_close_matches(key, names, n=3, cutoff=0.5)
    return f"unknown key '{key}'; " + (
        f"did you mean {' or '.join(near)}?" if near else "`wnexp train --cfg job` lists the known ones"
    )


def _leaves(schema: type, prefix: str = "") -> dict[str, Any]:
    """Every setting of the schema, `section.key -> type`."""
    leaves = {}
    for entry in dataclasses.fields(schema):
        if isinstance(entry.type, type) and dataclasses.is_dataclass(entry.type):
            leaves |= _leaves(entry.type, f"{prefix}{entry.name}.")
        else:
            leaves[prefix + entry.name] = entry.type
    return leaves


def has_key(key: str) -> bool:
    """Whether that is a group, a section or a setting."""
    return key in GROUPS or key in SECTIONS or key in _leaves(Config)


def _clear_read_only(node: DictConfig) -> None:
    OmegaConf.set_readonly(node, False)
    for key in node:
        if not OmegaConf.is_missing(node, key) and OmegaConf.is_dict(node[key]):
            _clear_read_only(node[key])


def _select(config: Config, key: str) -> Any:
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return value


def as_dict(config: Config) -> dict[str, Any]:
    """The configuration without what does not change a run's numbers: flat, `section.key -> value`."""
    skipped = ("overwrite", "outputs")
    return {key: _select(config, key) for key in _leaves(Config) if key not in skipped}


def from_flat(flat: Mapping[str, Any]) -> Config:
    """The configuration that `as_dict` made flat. Raises `UserError` for keys of another version."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        if "(sha256)" not in key:
            section, _, name = key.rpartition(".")
            (nested.setdefault(section, {}) if section else nested)[name] = value
    return typed(OmegaConf.create(nested))


def _by(key: str, table: Mapping[str, Any]) -> Any:
    """`${by:${norm.name},{none: 15, swn: 15, ewn: 5}}`: the value for the key; for defaults that depend on a choice."""
    if key not in table:
        raise UserError(f"no value for '{key}' in the configuration's table {dict(table)}")
    return table[key]


def _outputs_folder(outputs: Any) -> str:
    """The folder of all runs, looked at before Hydra makes a directory in it."""
    if outputs is None or isinstance(outputs, (ListConfig, DictConfig)) or not str(outputs).strip():
        raise UserError(f"outputs={'null' if outputs is None else outputs} is no folder; allowed: a path")
    return str(outputs)


OmegaConf.register_new_resolver("by", _by, replace=True)
OmegaConf.register_new_resolver("outputs_folder", _outputs_folder, replace=True)
OmegaConf.register_new_resolver("run_directory", run_directory, replace=True)

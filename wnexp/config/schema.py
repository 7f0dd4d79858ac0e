"""The configuration of a run: what can be set, and the checked objects that it becomes.

Every setting stands beside its meaning, default and allowed values: those of an option in the class of the option
(`wnexp/settings.py`), those of the run below. The groups and their options come from above, as an `Options`.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from wnexp.errors import UserError
from wnexp.settings import Setting, setting, settings

_NOT_NUMBERS = ("distributed", "overwrite", "outputs", "logger", "objective")  # settings that change no number of a run
GROUPS = ("data", "model", "norm", "loss", "optimizer", "experiment")


@dataclass(frozen=True)
class Stop:
    """When a seed is done."""

    log_loss: float = setting(-300.0, "the target, in nats")
    max_steps: int = setting(40000, "largest number of accepted steps", least=1, below=2**62)


@dataclass(frozen=True)
class Record:
    """When a record is made; the settings of the measures are `record.*` too."""

    every: int | None = setting(
        None, "steps between two records", least=1, below=2**62, null="for the geometric grid of `points`"
    )
    points: int = setting(400, "largest number of records up to record.up_to; every early step is one of them", least=2)
    up_to: int | None = setting(
        None, "steps that the grid of `points` is spread over", least=1, below=2**62, null="for stop.max_steps"
    )
    of_measures: dict[str, Any] = field(default_factory=dict)

    def grid(self, stop: Stop) -> tuple[int, float]:
        """`(every, ratio)`: the record point after step `k` is `max(k + every, ceil(k * ratio))`."""
        spread = stop.max_steps if self.up_to is None else self.up_to
        return self.every or 1, 1.0 if self.every is not None else spread ** (1 / self.points)

    def of(self, measure: Any) -> Any:
        """The measure with the run's settings."""
        own = {name: self.of_measures[name] for name in settings(measure) if name in self.of_measures}
        return dataclasses.replace(measure, **own)


@dataclass(frozen=True)
class Config:
    """One run. The five groups hold objects, rows of their tables with the run's settings."""

    names: Mapping[str, str]  # group -> name of the option
    data: Any
    model: Any
    norm: Any
    loss: Any
    optimizer: Any
    measures: Mapping[str, Any]
    stop: Stop = field(default_factory=Stop)
    record: Record = field(default_factory=Record)
    seed: int = setting(0, "the first seed of the run", least=0, most=2**32 - 1)
    seeds: int = setting(1, "how many seeds, one after the other, trained as one program", least=1, most=10**6)
    precision: str = setting("float64", "number format of weights and data", choices=("float32", "float64"))
    device: str = setting(
        "auto", "auto: the best there is, a cpu for tiny networks", choices=("auto", "cpu", "gpu", "tpu")
    )
    distributed: bool = setting(False, "all processes that srun started train this run together")
    overwrite: bool = setting(False, "train again over what is there")
    outputs: str = setting("outputs", "the folder of all runs")
    snapshots: list[float] = setting([], "log losses (nats) at which to save the weights")
    logger: list[str] = setting([], "where the run is logged as well", choices=("tensorboard", "wandb", "mlflow"))
    objective: str | None = setting(
        None,
        "what a sweeper such as Optuna is told of a job: a column of `wnexp runs`, like attempts@-100",
        null="for none",
    )


@dataclass(frozen=True)
class Options:
    """The tables of options: group -> name -> prototype, and the measures. What they hold can be set."""

    groups: Mapping[str, Mapping[str, Any]]
    measures: Mapping[str, Any]

    def sections(self) -> dict[str, dict[str, Setting]]:
        """The settings of the run itself: section ("" for the top) -> name -> setting."""
        of_measures: dict[str, Setting] = {}
        for measure in self.measures.values():
            own = settings(measure)
            if twice := own.keys() & (of_measures.keys() | settings(Record).keys()):
                raise ValueError(
                    f"{type(measure).__name__}: record.{min(twice)} is a setting of something else already"
                )
            of_measures |= own
        return {"": settings(Config), "stop": settings(Stop), "record": settings(Record) | of_measures}

    def keys(self) -> dict[str, Setting]:
        """Every setting of every option, `section.name` -> setting (of the first option that has it)."""
        found = {
            f"{section}.{name}".lstrip("."): one
            for section, own in self.sections().items()
            for name, one in own.items()
        }
        for group, table in self.groups.items():
            for prototype in table.values():
                for name, one in settings(prototype).items():
                    found.setdefault(f"{group}.{name}", one)
        return found

    def names(self, group: str) -> list[str]:
        """The options of a group: rows of its table and files of `conf/`."""
        files = [path.stem for path in (configs_folder() / group).glob("*.yaml")]
        return sorted({*self.groups.get(group, {}), *files})

    def describe(self, group: str, name: str) -> str:
        """An option in one line: how its file in `conf/` begins, or its class's docstring."""
        file = configs_folder() / group / f"{name}.yaml"
        lines = file.read_text("utf-8").splitlines() if file.is_file() else []
        comments = [line[2:] for line in lines if line.startswith("# ") and "@package" not in line]
        if comments:
            return comments[0]
        return (type(self.groups[group][name]).__doc__ or "").strip().splitlines()[0]

    def has_key(self, key: str) -> bool:
        """Whether that is a group, a section or a setting."""
        return key in (*GROUPS, "stop", "record") or key in self.keys()

    def unknown_key(self, key: str, chosen: str | None = None) -> UserError:
        """The error for a key that cannot be set, with the nearest ones that can; `chosen` is its group's option."""
        names = [*GROUPS, *self.keys()]
        group, _, name = key.partition(".")
        table = self.groups.get(group, {})
        if rows := [row for row, choice in table.items() if name in settings(choice)]:
            own = ", ".join(settings(table[chosen])) if chosen is not None and chosen in table else ""
            has = f";\n{group}={chosen} has {own}" if own else ""
            return UserError(f"{key} is not a setting of the {group} chosen, but of {group}={','.join(rows)}{has}")
        near = get_close_matches(key, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "`wnexp train --help` lists the known ones"
        return UserError(f"unknown key '{key}'; {hint}")


def flat(config: Config) -> dict[str, Any]:
    """The settings that make a run's numbers, `section.name -> value`."""
    found: dict[str, Any] = {}
    for group, name in config.names.items():
        found[f"{group}.name"] = name
        found |= {f"{group}.{key}": one.value for key, one in settings(getattr(config, group)).items()}
    for section in (config.stop, config.record):
        prefix = type(section).__name__.lower()
        found |= {f"{prefix}.{key}": one.value for key, one in settings(section).items()}
    found |= {f"record.{key}": value for key, value in config.record.of_measures.items()}
    return found | {key: one.value for key, one in settings(config).items() if key not in _NOT_NUMBERS}


def flat_defaults(config: Config, options: Options) -> dict[str, Any]:
    """What `flat` would give if no setting of the same options were given."""
    prototypes: dict[str, Any] = {group: options.groups[group][name] for group, name in config.names.items()}
    record = Record(
        of_measures={name: one.value for measure in config.measures.values() for name, one in settings(measure).items()}
    )
    return flat(Config(names=config.names, **prototypes, measures=config.measures, record=record))


def configs_folder() -> Path:
    """The folder of the configuration files: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    packaged = package / "conf"
    return packaged if packaged.is_dir() else package.parent / "conf"

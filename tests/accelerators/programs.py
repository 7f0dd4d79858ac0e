"""The training programs as the runner makes them, compiled for a chip that is not here."""

import os
from itertools import product
from typing import Any, NamedTuple

import jax
import numpy as np

from tests.helpers import compose
from wnexp.config.schema import Config
from wnexp.data.dataset import Dataset
from wnexp.training import environment, loop
from wnexp.training.program import build_data, build_program, build_traced, initial_weights

from .topologies import device

# Published images are not downloaded for this: training and test samples, and the image's sizes.
_IMAGES = {"mnist": (60_000, 10_000, (28, 28, 1)), "cifar10": (50_000, 10_000, (32, 32, 3))}
_NORMS = ("none", "swn", "ewn")
_IN_ALL_NORMS = ("lin_sep", "xor", "simple_traj", "conv_rate", "digits", "digits_cnn", "rich_lazy", "edge", "margins")
_IN_THEIR_OWN = ("power", "penalty", "crossover", "sparse_regression", "group_regression norm=power")
# A rule of every family of `wnexp/optim`; those of `lin_sep` and `digits` are gd and sgd.
_RULES = (
    "gd_constant",
    "momentum",
    "nesterov",
    "normalized_gd",
    "sign",
    "signum",
    "lion",
    "adam",
    "rmsprop",
    "adagrad",
)
_OF_MATRICES = ("coordinate", "spectral", "muon", "nuclear")
_FLOW = ("experiment=lin_sep optimizer=flow", "experiment=lin_sep optimizer=flow optimizer.solver=tsit5")


class Case(NamedTuple):
    """A program on a platform."""

    platform: str
    words: str  # of the command, between blanks

    @property
    def name(self) -> str:
        """For the reports of tests."""
        return f"{self.platform} {self.words}".replace("experiment=", "")


def small_cases() -> list[Case]:
    """Every experiment without large images in all norms that it is for, and the rules on two of them."""
    words = [f"experiment={name} norm={norm}" for name, norm in product(_IN_ALL_NORMS, _NORMS)]
    words += [f"experiment={name}" for name in _IN_THEIR_OWN]
    words += [f"experiment=margins_net norm={norm} optimizer={rule}" for rule, norm in product(_RULES, ("none", "ewn"))]
    words += [
        f"experiment=margins norm={norm} optimizer={rule}" for rule, norm in product(_OF_MATRICES, ("none", "ewn"))
    ]
    words += ["experiment=margins optimizer=dual_acceleration", "experiment=digits norm=swn optimizer=sgd_clipped"]
    words += ["experiment=digits norm=ewn optimizer=adam optimizer.batch_size=128"]
    words += ["experiment=digits_cnn norm=ewn seeds=3", "experiment=lin_sep norm=ewn seeds=16"]
    words += ["experiment=lin_sep norm=swn record.layers_every=1 record.noise_every=1 record.geometry_every=1"]
    cases = [Case(platform, each) for platform in ("gpu", "tpu") for each in words]
    flows = [f"{each} norm={norm}" for each, norm in product(_FLOW, _NORMS)]
    # The flow, and a start whose scales float32 loses: refused there with a word of it.
    needs_float64 = ("experiment=power", "experiment=group_regression norm=power")
    return [case for case in cases if case.platform == "gpu" or case.words not in needs_float64] + [
        Case("gpu", each) for each in flows
    ]


def large_cases() -> list[Case]:
    """The paper's two large experiments."""
    words = [f"experiment={name} norm={norm} seeds=3" for name, norm in product(_IMAGES, _NORMS)]
    return [Case(platform, each) for platform in ("gpu", "tpu") for each in words]


class Compiled(NamedTuple):
    """A chunk of a program, compiled."""

    text: str  # XLA's, after all its passes
    seconds: float  # of a core, in the compiler and in what it starts
    bytes_needed: int  # arguments, results and what is between them, at the same time


def chunk_of(case: Case) -> Any:
    """The chunk of a run of one sweep of its seeds, lowered. Raises `UserError` where there is no such run."""
    environment.pin()
    jax.config.update("jax_enable_x64", case.platform != "tpu")
    config = compose(*case.words.split(), *(["precision=float32"] if case.platform == "tpu" else []))
    dataset = _dataset(config)
    program = build_program(config, dataset, case.platform)
    seeds = np.arange(config.seed, config.seed + config.seeds)
    weights = initial_weights(config, program, seeds.tolist(), None)
    fixed = (build_data(dataset, program.dtype), build_traced(config, program.head_dtype))
    train = loop.make_train(program)
    state = jax.eval_shape(train.start, seeds, weights, *fixed)
    return train.chunk.trace(*_there(case.platform, (state, *fixed, np.int64(1)))).lower()


def _dataset(config: Config) -> Dataset:
    name = config.names["data"]
    if name not in _IMAGES:
        return config.data.load()
    train, test, image = _IMAGES[name]
    inputs, labels = int(np.prod(image)), np.arange(train) % 10
    x = np.zeros((train, inputs), np.float32)
    return Dataset(x, labels, x[:test], labels[:test], image=image)


def _there(platform: str, arguments: Any) -> Any:
    """Shapes of arrays on that chip."""
    sharding = jax.sharding.SingleDeviceSharding(device(platform))

    def shape(leaf):
        dtype = jax.dtypes.canonicalize_dtype(leaf.dtype)
        return jax.ShapeDtypeStruct(np.shape(leaf), dtype, sharding=sharding)

    return jax.tree.map(shape, arguments)


def compiled(case: Case) -> Compiled:
    """The chunk compiled, and what XLA says of it."""
    lowered = chunk_of(case)
    began = sum(os.times()[:4])
    made = lowered.compile()
    seconds = sum(os.times()[:4]) - began
    memory = made.memory_analysis()
    needed = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    needed += memory.generated_code_size_in_bytes - memory.alias_size_in_bytes
    return Compiled(made.as_text(), seconds, needed)

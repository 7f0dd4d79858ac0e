"""What is recorded: groups of columns, each with units and a cadence of its own.

`MEASURES` is in the order of the columns. A measure's settings are the run's `record.*`.
"""

from wnexp.measures.base import Measure
from wnexp.measures.curvature import Sharpness
from wnexp.measures.geometry import InGeometries
from wnexp.measures.layers import Layers, PathNorm
from wnexp.measures.limit import GradientDirection, LimitCosine
from wnexp.measures.margins import Margins, Progress, TestSet, TrainAccuracy
from wnexp.measures.neurons import Neurons
from wnexp.measures.noise import GradientNoise
from wnexp.measures.samples import Samples

MEASURES: dict[str, Measure] = {
    "progress": Progress(),
    "train_accuracy": TrainAccuracy(),
    "test_set": TestSet(),
    "margins": Margins(),
    "sharpness": Sharpness(),
    "path_norm": PathNorm(),
    "gradient_noise": GradientNoise(),
    "limit_cosine": LimitCosine(),
    "neurons": Neurons(),
    "samples": Samples(),
    "geometry": InGeometries(),
    "layers": Layers(),
    "gradient_direction": GradientDirection(),
}

"""All options of all groups: group -> name -> prototype. Rows may be added before a run is composed."""

from wnexp.config.schema import Options
from wnexp.data import DATA_SETS
from wnexp.measures import MEASURES
from wnexp.nn.architectures import MODELS
from wnexp.nn.losses import LOSSES
from wnexp.nn.weightnorm import NORMS
from wnexp.optim import OPTIMIZERS

OPTIONS = Options(
    groups={"data": DATA_SETS, "model": MODELS, "norm": NORMS, "loss": LOSSES, "optimizer": OPTIMIZERS},
    measures=MEASURES,
)

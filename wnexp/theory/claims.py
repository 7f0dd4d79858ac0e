"""The claims of the theory, by name."""

from wnexp.theory.base import Claim
from wnexp.theory.family import GrowthOfPower, KktOfPower, RateOfPower, Relation, SparsityOfPower
from wnexp.theory.flow import Conserved, LawOfNorm, MonotoneMargin, SameFlow
from wnexp.theory.limits import HardMargin, KktPoint, LargestMargin
from wnexp.theory.optimizers import (
    Crossover,
    Fingerprint,
    GapRate,
    KktOfRule,
    MarginOfRule,
    MomentumChangesNothing,
    SpeedLimit,
)
from wnexp.theory.rates import AllLosses, FiniteTimeBound, Growth, Rate, RateConstant
from wnexp.theory.relations import Alignment, EqualProducts, EqualRatios, Sparsity

CLAIMS: dict[str, Claim] = {
    "C1": SameFlow(),
    "C2": Alignment(),
    "C3": EqualProducts(),
    "C4": EqualRatios(),
    "C5": Sparsity(),
    "C6": Rate(),
    "C7": Growth(),
    "C8": MonotoneMargin(),
    "C9": KktPoint(),
    "C10": Conserved(),
    "C11": FiniteTimeBound(),
    "C12": AllLosses(),
    "C13": LawOfNorm(),
    "C14": RateConstant(),
    "M1": MarginOfRule(),
    "M2": KktOfRule(),
    "M2 others": Fingerprint(),
    "M3": GapRate(),
    "M4": SpeedLimit(),
    "M5": Crossover(),
    "M6": MomentumChangesNothing(),
    "P1": RateOfPower(),
    "P2": Relation(),
    "P3": KktOfPower(),
    "P4": GrowthOfPower(),
    "P5": SparsityOfPower(),
    "SVM": HardMargin(),
    "margin": LargestMargin(),
}

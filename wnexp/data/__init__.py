"""The data sets, by name."""

from wnexp.data.arrays import ArrayFile
from wnexp.data.dataset import Source
from wnexp.data.generated import Clusters, ConvRate, Digits, Gaussian, LinSep, SimpleTraj, TwoPoints, Xor
from wnexp.data.images import Emnist, Images
from wnexp.data.regression import SparseRegression
from wnexp.data.tables import Bundled, OpenML

DATA_SETS: dict[str, Source] = {
    "lin_sep": LinSep(),
    "conv_rate": ConvRate(train_per_class=10),
    "gaussian": Gaussian(train_per_class=10),
    "clusters": Clusters(),
    "xor": Xor(),
    "simple_traj": SimpleTraj(),
    "two_points": TwoPoints(),
    "sparse_regression": SparseRegression(),
    "digits": Digits(),
    # The paper's scaling of MNIST and CIFAR-10; the others of MNIST's format by the customary mean and deviation of
    # their own pixels, CIFAR-100 as CIFAR-10.
    "mnist": Images(published_as="mnist", mean=0.1307, deviation=0.3081),
    "fashion_mnist": Images(published_as="fashion_mnist", mean=0.2860, deviation=0.3530),
    "kmnist": Images(published_as="kmnist", mean=0.1918, deviation=0.3483),
    "emnist": Emnist(published_as="emnist", mean=0.1722, deviation=0.3309),
    "cifar10": Images(published_as="cifar10", mean=0.5, deviation=0.5),
    "cifar100": Images(published_as="cifar100", mean=0.5, deviation=0.5),
    "iris": Bundled(loader="iris"),
    "wine": Bundled(loader="wine"),
    "breast_cancer": Bundled(loader="breast_cancer"),
    "diabetes": Bundled(loader="diabetes", labels="real"),
    "openml": OpenML(),
    "file": ArrayFile(),
}

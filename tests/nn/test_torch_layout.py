"""Weights from and to PyTorch: the same outputs by PyTorch's own forward pass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import ARCHITECTURES, INPUTS, mlp
from wnexp.errors import UserError
from wnexp.nn import torch_layout, weights
from wnexp.nn.initializers import initialize
from wnexp.nn.network import apply

PLAIN = [name for name in ARCHITECTURES if name != "diagonal"]


def arrays_of(network, seed=0):
    made = initialize(network, seed, "normal", "float64")
    random = np.random.default_rng(seed)
    arrays = weights.to_arrays(made)
    return {key: random.normal(size=array.shape) if "bias" in key else array for key, array in arrays.items()}


def outputs(network, arrays, x):
    made = jax.tree.map(jnp.asarray, weights.from_arrays(arrays, network, "float64", "here"))
    return np.asarray(apply(network, made, jnp.asarray(x)))


@pytest.mark.parametrize("name", PLAIN)
def test_the_way_there_and_back_is_the_identity(name):
    network = ARCHITECTURES[name]
    arrays = arrays_of(network)
    state, _ = torch_layout.to_torch(arrays, network)
    assert not torch_layout.is_own(state) and torch_layout.is_own(arrays)
    again = torch_layout.from_torch(state, network, "here")
    assert again.keys() == arrays.keys() and all(np.array_equal(again[key], arrays[key]) for key in arrays)


@pytest.mark.parametrize("name", PLAIN)
def test_the_module_computes_what_the_net_does(name):
    torch = pytest.importorskip("torch")
    network = ARCHITECTURES[name]
    arrays = arrays_of(network)
    state, source = torch_layout.to_torch(arrays, network)
    place = {"torch": torch, "nn": torch.nn}
    exec(source, place)
    net = place["net"].double()
    net.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})
    x = np.random.default_rng(1).normal(size=(7, INPUTS[name]))
    given = x if network.image is None else x.reshape(-1, *network.image).transpose(0, 3, 1, 2)
    got = net(torch.from_numpy(np.ascontiguousarray(given))).detach().numpy()
    np.testing.assert_allclose(got, outputs(network, arrays, x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("new", [False, True], ids=["weight_norm", "parametrizations.weight_norm"])
@pytest.mark.filterwarnings("ignore")
def test_weight_normalized_modules_become_their_effective_weights(new):
    torch = pytest.importorskip("torch")
    nn = torch.nn
    weight_norm = nn.utils.parametrizations.weight_norm if new else nn.utils.weight_norm
    torch.manual_seed(0)
    net = nn.Sequential(
        weight_norm(nn.Conv2d(2, 3, 3, padding=1, bias=True)), nn.ReLU(), nn.MaxPool2d(2),
        weight_norm(nn.Conv2d(3, 4, 3, padding=1, bias=False)), nn.ReLU(),
        nn.Flatten(), nn.Linear(8, 5, bias=False), nn.ReLU(), weight_norm(nn.Linear(5, 3, bias=False)),
    ).double()  # fmt: skip
    for name, value in net.named_parameters():
        if name.endswith(("_g", "original0")):
            value.data *= 1 + torch.rand_like(value)
    network = ARCHITECTURES["convolutions"]
    arrays = torch_layout.from_torch({key: value.numpy() for key, value in net.state_dict().items()}, network, "here")
    x = np.random.default_rng(1).normal(size=(7, 24))
    given = torch.from_numpy(np.ascontiguousarray(x.reshape(-1, 3, 4, 2).transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(outputs(network, arrays, x), net(given).detach().numpy(), rtol=1e-12, atol=1e-12)


def test_modules_by_name_and_a_constant_layer_that_the_state_lacks():
    network = ARCHITECTURES["fixed output"]
    first = np.random.default_rng(0).normal(size=(4, 3))
    arrays = torch_layout.from_torch({"fc1.weight": first, "fc1.bias": np.zeros(4)}, network, "here")
    assert np.array_equal(arrays["layers.0.weight"], first.T)
    assert np.array_equal(arrays["layers.1.weight"], [[1.0], [1.0], [-1.0], [-1.0]]) and len(arrays) == 2


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"0.weight": (8, 2)}, r"it has 1 modules with weights \(0\); the net has 2 layers"),
        ({"0.weight": (8, 2), "1.running_mean": (8,)}, "1.running_mean is no weight or bias"),
        ({"0.weight": (8, 2), "1.weight": (8,)}, "of a dense layer"),
        ({"0.weight": (8, 2), "2.bias": (1,)}, "2 has bias, no weight"),
        ({"0.weight": (8, 3), "2.weight": (1, 8)}, r"0.weight has shape \(8, 3\), the net needs \(8, 2\)"),
        ({"0.weight": (8, 1), "2.weight": (1, 8)}, r"0.weight has shape \(8, 1\), the net needs \(8, 2\)"),
        ({"0.weight": (8, 2, 3, 3), "2.weight": (1, 8)}, "of a dense layer"),
    ],
)
def test_what_is_no_state_of_the_net(state, message):
    made = {key: np.ones(shape) for key, shape in state.items()}
    with pytest.raises(UserError, match=message):
        torch_layout.from_torch(made, mlp(2, (8,), 1, "relu"), "here")


def test_what_pytorch_has_no_module_for():
    with pytest.raises(UserError, match="a diagonal layer is no module of PyTorch"):
        torch_layout.to_torch({}, ARCHITECTURES["diagonal"])

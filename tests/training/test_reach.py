"""What weight decay leaves out of reach: bounds that no run crosses, and the line that says so."""

import numpy as np
import pytest

from tests.helpers import compose, mlp, prepared
from wnexp.data.dataset import Dataset
from wnexp.nn.geometry import GEOMETRIES
from wnexp.nn.weightnorm import NORMS
from wnexp.training.reach import widest_margins

LINEAR = ("model.widths=[]", "stop.max_steps=3000")
OF = {"normalized_gd": "l2", "sign": "linf", "coordinate": "l1", "spectral": "spectral", "nuclear": "nuclear"}


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OF)
def test_a_linear_model_stays_above_its_bound(optimizer):
    words = (f"optimizer={optimizer}", "optimizer.weight_decay=0.2", "optimizer.step_size=0.05", *LINEAR)
    session = prepared(*words)
    (note,) = session.notes
    assert f"keeps the {OF[optimizer]} norm of the weights at 5 or less" in note and "-300 is out of reach" in note
    least = float(note.partition("above about ")[2].partition(":")[0])
    session.start()
    session.chunk(3000)
    (reached,) = session.log_losses()
    assert least < reached < least + 12
    assert prepared(*words, f"stop.log_loss={least + 0.01}").notes == []


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize(("widths", "outputs"), [((), 1), ((), 3), ((6,), 1), ((4, 5), 3)])
def test_no_weights_of_that_norm_have_wider_margins(geometry, widths, outputs):
    rng = np.random.default_rng(0)
    labels = np.arange(7) % 3 if outputs > 1 else np.arange(7) % 2
    data = Dataset(rng.standard_normal((7, 3)), labels, np.zeros((0, 3)), labels[:0])
    network = mlp(3, widths, outputs, "relu_squared")
    bound = widest_margins(2.5, geometry, network, NORMS["none"], data)
    for _ in range(20):
        weights = [rng.standard_normal(layer.shape) for layer in network.layers]
        weights = [2.5 / np.exp(float(GEOMETRIES[geometry].log_norm(weights))) * w for w in weights]
        x = data.train_x
        for w in weights[:-1]:
            x = np.maximum(x @ w, 0) ** 2
        out = x @ weights[-1]
        margins = np.abs(out[:, 0]) if outputs == 1 else out.max(axis=1) - out.min(axis=1)
        assert (margins <= bound * (1 + 1e-9)).all()


@pytest.mark.parametrize(
    "words",
    [
        ("optimizer=sign",),
        ("optimizer=sign", "optimizer.weight_decay=0.2", "norm=ewn"),
        ("optimizer=sign", "optimizer.weight_decay=0.2", "model.bias=first"),
        ("optimizer=momentum", "optimizer.weight_decay=0.2", "model.widths=[]"),
        ("optimizer=rmsprop", "optimizer.weight_decay=0.2", "model.widths=[]", "optimizer.log_eps=-9"),
        ("optimizer=dual_acceleration", "optimizer.weight_decay=0.2", "model.widths=[]"),
        ("optimizer=adam", "optimizer.weight_decay=0.01"),
    ],
)
def test_nothing_is_said_where_nothing_is_known_or_all_is_well(words):
    assert prepared(*words).notes == []


def test_a_rule_with_weight_decay_has_no_time():
    assert compose("optimizer=normalized_gd").optimizer.has_time
    assert not compose("optimizer=normalized_gd", "optimizer.weight_decay=0.1").optimizer.has_time

"""Every measure against a slow, plain numpy twin that forms losses and gradients by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wnexp import losses, measures, network

CASES = [
    (classes, activation, loss, reduction, bias)
    for classes, activation in ((1, "relu"), (1, "relu_squared"), (3, "relu"))
    for loss in losses.LOSSES
    for reduction, bias in (("sum", False), ("mean", True))
]


def forward(weights, x, activation):
    hidden = x @ weights[0]["weight"] + weights[0].get("bias", 0.0)
    hidden = np.maximum(hidden, 0) ** (2 if activation == "relu_squared" else 1)
    return hidden @ weights[1]["weight"]


def twin_samples(weights, x, y, activation, loss):
    """Losses of the samples, soft margins and margins by their definitions, in plain loops."""
    outputs = forward(weights, x, activation)
    sample_losses, soft, hard = [], [], []
    for row, label in zip(outputs, y, strict=True):
        s = [label * row[0]] if len(row) == 1 else [row[label] - row[j] for j in range(len(row)) if j != label]
        z = -np.log(sum(np.exp(-value) for value in s))
        sample_losses.append(np.exp(-z) if loss == "exponential" else np.log1p(np.exp(-z)))
        soft.append(z)
        hard.append(s)
    return np.array(sample_losses), np.array(soft), hard


def numeric_gradient(function, weights, step=1e-6):
    """Central differences, entry by entry."""
    gradient = []
    for layer in weights:
        entry = {}
        for name, array in layer.items():
            entry[name] = np.zeros_like(array)
            for index in np.ndindex(array.shape):
                kept = array[index]
                array[index] = kept + step
                above = function()
                array[index] = kept - step
                entry[name][index] = (above - function()) / (2 * step)
                array[index] = kept
        gradient.append(entry)
    return gradient


def flat(tree):
    return np.concatenate([np.ravel(layer[name]) for layer in tree for name in sorted(layer)])


@pytest.mark.parametrize(("classes", "activation", "loss", "reduction", "bias"), CASES)
def test_against_the_plain_twin(classes, activation, loss, reduction, bias, random):
    architecture = network.mlp(3, (6,), classes, activation, first_bias=bias)
    x, y = separable(random, classes)
    weights = tuple(
        {name: array.copy() for name, array in layer.items()} for layer in fitted(architecture, x, y, activation, loss)
    )
    total = (lambda values: values.mean()) if reduction == "mean" else (lambda values: values.sum())
    sample_losses, soft, hard = twin_samples(weights, x, y, activation, loss)
    value = total(sample_losses)
    gradient = numeric_gradient(lambda: total(twin_samples(weights, x, y, activation, loss)[0]), weights)

    evaluation, s = evaluate(architecture, weights, x, y, loss, reduction)
    row = measures.step_row(evaluation, architecture.degrees, loss, reduction)
    w, g = flat(weights), flat(gradient)
    norm, degree = np.linalg.norm(w), architecture.degree
    q = min(min(entry) for entry in hard)
    assert q > 0, "the case must be separated"
    layer_norms = [np.linalg.norm(flat([layer])) for layer in weights]
    cosine = -w @ g / norm / np.linalg.norm(g)
    inverse = -np.log(sample_losses.sum()) if loss == "exponential" else -np.log(np.expm1(sample_losses.sum()))
    slope = -sample_losses if loss == "exponential" else -1 / (1 + np.exp(soft))
    multipliers, delta = [], 0.0
    for i, entry in enumerate(hard):
        shares = np.exp(-np.array(entry)) / np.exp(-np.array(entry)).sum()
        weight = -slope[i] / (len(x) if reduction == "mean" else 1) / np.linalg.norm(g)
        multipliers = q ** (1 - 2 / degree) * norm * weight * shares
        delta = max(delta, *(multipliers * (np.array(entry) / q - 1)))
    want = {
        "train_accuracy": 1.0,
        "margin": q,
        "weight_norm": norm,
        "normalized_margin": q / norm**degree,
        "layer_margin": q / np.prod([n**k for n, k in zip(layer_norms, architecture.degrees, strict=True)]),
        "smoothed_margin": inverse / norm**degree,
        "alignment": cosine,
        "kkt_epsilon": np.sqrt(2 * (1 - cosine)) * (q / norm**degree) ** (-1 / degree),
        "kkt_delta": delta,
    }
    assert row.keys() == want.keys()
    for name, expected in want.items():
        np.testing.assert_allclose(row[name], expected, rtol=2e-6, err_msg=name)

    for index, rows in measures.neuron_rows(evaluation, max_direction=3).items():
        w_layer, g_layer = weights[index]["weight"], gradient[index]["weight"]
        norms, pulls = np.linalg.norm(w_layer, axis=0), np.linalg.norm(g_layer, axis=0)
        np.testing.assert_allclose(rows["weight_norm"], norms, rtol=1e-12)
        np.testing.assert_allclose(rows["norm_ratio"], norms / norms.max(), rtol=1e-12)
        np.testing.assert_allclose(rows["log_gradient_norm"], np.log(pulls), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(rows["log_gradient_ratio"], np.log(pulls / norms), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(rows["alignment"], -(w_layer * g_layer).sum(axis=0) / norms / pulls, atol=1e-6)
        assert ("direction" in rows) == (index == 0)
    np.testing.assert_allclose(
        measures.neuron_rows(evaluation, 3)[0]["direction"],
        weights[0]["weight"] / np.linalg.norm(weights[0]["weight"], axis=0),
        rtol=1e-12,
    )

    samples = measures.sample_rows(s, loss)
    np.testing.assert_allclose(samples["margin"], [min(entry) for entry in hard], rtol=1e-12)
    np.testing.assert_allclose(samples["loss_share"], sample_losses / np.linalg.norm(sample_losses), rtol=1e-10)

    tested = measures.test_row(s, loss, reduction)
    np.testing.assert_allclose(tested["log_test_loss"], np.log(value), rtol=1e-10)
    assert tested["test_accuracy"] == 1.0

    np.testing.assert_allclose(measures.gradient_direction(evaluation), g / np.linalg.norm(g), atol=1e-6)
    shares = sample_losses / np.linalg.norm(sample_losses)
    limit = flat(numeric_gradient(lambda: shares @ twin_samples(weights, x, y, activation, loss)[1], weights))

    def soft_margins(w):
        return losses.soft_margins(losses.margins(network.apply(architecture, w, jnp.asarray(x)), jnp.asarray(y)))

    direction = measures.limit_direction(soft_margins, jax.tree.map(jnp.asarray, weights), loss, s)
    np.testing.assert_allclose(direction, limit / np.linalg.norm(limit), atol=1e-6)


def separable(random, classes):
    if classes == 1:
        y = np.array([-1, 1, 1, -1, 1])
        return random.uniform(0.5, 1.5, (5, 3)) * y[:, None], y
    y = np.array([0, 1, 2, 0, 1])
    return np.eye(3)[y] + random.uniform(-0.2, 0.2, (5, 3)), y


def fitted(architecture, x, y, activation, loss):
    """Weights that separate the data, just: steps of fixed length along the gradient until the margin is 0.3."""
    x, y = jnp.asarray(x), jnp.asarray(y)
    weights = jax.tree.map(jnp.asarray, network.initialize(architecture, 4, "normal", "float64"))

    @jax.jit
    def step(w):
        def log_loss(w):
            s = losses.margins(network.apply(architecture, w, x), y)
            return losses.log_loss(s, loss, "sum"), jnp.min(s)

        gradient, q = jax.grad(log_loss, has_aux=True)(w)
        length = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient)))
        return jax.tree.map(lambda p, g: p - 0.02 * g / length, w, gradient), q

    for _ in range(2000):
        weights, q = step(weights)
        if q > 0.3:
            return jax.tree.map(np.array, weights)
    raise AssertionError("the data were not separated")


def evaluate(architecture, weights, x, y, loss, reduction):
    x, y = jnp.asarray(x), jnp.asarray(y)

    def log_loss(w):
        return losses.log_loss(losses.margins(network.apply(architecture, w, x), y), loss, reduction)

    value, gradient = jax.value_and_grad(log_loss)(jax.tree.map(jnp.asarray, weights))
    s = losses.margins(network.apply(architecture, weights, x), y)
    return measures.Evaluation(jax.tree.map(jnp.asarray, weights), gradient, value, s), s


def test_tiny_gradients_keep_norm_and_direction():
    """A gradient of 1e-200, whose square underflows, still has a log norm and an alignment."""
    w = {"weight": jnp.array([[3.0, 0.0], [4.0, 2.0]])}
    g = {"weight": jnp.array([[-3e-200, 0.0], [-4e-200, 0.0]])}
    evaluation = measures.Evaluation((w,), (g,), jnp.asarray(-300.0), jnp.array([[1.0]]))
    rows = measures.neuron_rows(evaluation, 0)[0]
    np.testing.assert_allclose(rows["log_gradient_norm"][0], -300 + np.log(5e-200), rtol=1e-14)
    np.testing.assert_allclose(rows["alignment"][0], 1.0, rtol=1e-14)
    assert not np.isfinite(rows["log_gradient_norm"][1]), "a zero gradient has no log norm"
    assert not np.isfinite(rows["alignment"][1])


def test_measures_without_meaning_are_not_finite():
    w, g = {"weight": jnp.array([[1.0]])}, {"weight": jnp.array([[1.0]])}
    evaluation = measures.Evaluation((w,), (g,), jnp.asarray(1.0), jnp.array([[-2.0]]))
    row = measures.step_row(evaluation, (1,), "exponential", "sum")
    assert np.isnan(row["kkt_epsilon"]) and np.isnan(row["kkt_delta"])
    assert row["train_accuracy"] == 0 and row["margin"] == -2

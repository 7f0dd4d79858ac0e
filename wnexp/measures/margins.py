"""Scalar columns of `steps`: progress, accuracy, the test set, margins and KKT residuals.

Formulas, with `q = min_i s_i`, `L` the homogeneity degree in an exponent and the loss elsewhere:

* normalized margin `q / ||w||^L`; layer margin `q / prod_l ||W_l||_F^{k_l}`;
* smoothed margin `loss^{-1}(L) / ||w||^L` with `L` the summed loss (Lyu-Li);
* alignment `b = cos(w, -grad L)`;
* (epsilon, delta)-KKT residuals of the direction `w/||w||` for `min 0.5 ||w||^2 s.t. s_ij >= 1`, when `q > 0`:
  `epsilon = sqrt(2 (1 - b)) (q/||w||^L)^(-1/L)`,
  `lambda_ij = q^(1-2/L) ||w|| (-d log L/d s_ij) / ||g||`, `delta = max_ij lambda_ij (s_ij/q - 1)`.

Where the loss is no function of margins, all that is of margins is null; accuracies are so where labels are no classes.
"""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from wnexp.measures.base import INTEGER, REAL, Columns, Measure, cosine, flat, log_norm, over, unit
from wnexp.nn.losses import MarginLoss, margins


@dataclass(frozen=True)
class Progress(Measure):
    """What the optimizer says of itself."""

    columns: ClassVar[Columns] = {
        "attempts": (INTEGER, "proposals so far, refused ones included"),
        "log_time": (REAL, "nats; log of the summed step sizes on L"),
        "step_size": (REAL, "the step rule's current lr"),
        "log_loss": (REAL, "nats; log of the training loss in the configured reduction"),
        "decay_rate": (REAL, "-d log L / d log t since the record before"),
    }

    def measure(self, look):
        return dict(look.progress)


@dataclass(frozen=True)
class TrainAccuracy(Measure):
    """Of the training set."""

    columns: ClassVar[Columns] = {"train_accuracy": (REAL, "fraction of training samples with positive margin")}

    def measure(self, look):
        if look.margins is None:
            return {}
        return {"train_accuracy": jnp.mean(jnp.min(look.margins, axis=1) > 0, dtype=look.log_loss.dtype)}


@dataclass(frozen=True)
class TestSet(Measure):
    """Log loss, in the training loss's reduction, and accuracy on the test set; null without one."""

    columns: ClassVar[Columns] = {
        "log_test_loss": (REAL, "nats; log of the test loss in the configured reduction"),
        "test_accuracy": (REAL, "fraction of test samples with positive margin"),
    }

    def measure(self, look):
        if look.test_outputs is None or look.test_labels is None:
            return {}
        row = {"log_test_loss": look.loss.log_loss(look.test_outputs, look.test_labels)}
        if look.margins is not None:
            s = margins(look.test_outputs, look.test_labels)
            row["test_accuracy"] = jnp.mean(jnp.min(s, axis=1) > 0, dtype=s.dtype)
        return row


@dataclass(frozen=True)
class Margins(Measure):
    """Margins, alignment and KKT residuals of the whole network."""

    columns: ClassVar[Columns] = {
        "margin": (REAL, "q = min_i s_i over the training set"),
        "weight_norm": (REAL, "||w|| over all trained weights and biases"),
        "normalized_margin": (REAL, "q / ||w||^L"),
        "layer_margin": (REAL, "q / prod_l ||W_l||_F^k_l"),
        "smoothed_margin": (REAL, "loss^-1(L) / ||w||^L, L the summed loss"),
        "alignment": (REAL, "cos(w, -grad L)"),
        "kkt_epsilon": (REAL, "KKT residual epsilon of w/||w||; null until the data are separated"),
        "kkt_delta": (REAL, "KKT residual delta of w/||w||; null until the data are separated"),
    }

    def measure(self, look):
        w = flat(look.weights).astype(look.log_loss.dtype)
        g = flat(look.gradient).astype(w.dtype)
        row = {"weight_norm": jnp.exp(log_norm(w)), "alignment": cosine(jnp.dot(unit(w), unit(-g)))}
        return row | self._of_margins(look, w, g) if isinstance(look.loss, MarginLoss) else row

    def _of_margins(self, look, w, g):
        s = look.margins
        trained = [(k, layer) for k, layer in zip(look.network.degrees, look.weights, strict=True) if layer is not None]
        degree = sum(k for k, _ in trained)
        q, log_size = jnp.min(s), log_norm(w)
        log_layer_scale = jnp.sum(jnp.stack([k * log_norm(flat(layer).astype(w.dtype)) for k, layer in trained]))
        w_unit, h_unit = unit(w), unit(-g)
        separated = q > 0
        safe_q = jnp.where(separated, q, 1.0)
        epsilon = jnp.linalg.norm(w_unit - h_unit) * jnp.exp(log_size - jnp.log(safe_q) / degree)
        log_sum = look.loss.log_sum(look.log_loss, s.shape[0])
        pull = -jax.grad(look.loss.log_loss_of_margins)(s)
        multipliers = safe_q ** (1 - 2 / degree) * pull * jnp.exp(log_size - log_norm(g))
        slack = jnp.where(pull > 0, multipliers * (s / safe_q - 1), 0.0)
        return {
            "margin": q,
            "normalized_margin": over(q, degree * log_size),
            "layer_margin": over(q, log_layer_scale),
            "smoothed_margin": over(look.loss.inverse(log_sum), degree * log_size),
            "kkt_epsilon": jnp.where(separated, epsilon, jnp.nan),
            "kkt_delta": jnp.where(separated, jnp.max(slack), jnp.nan),
        }

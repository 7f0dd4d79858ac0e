"""`gradient_noise`: how much the gradients of single samples differ."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from wnexp.measures.base import REAL, Columns, Measure, flat, log_norm
from wnexp.settings import setting


@dataclass(frozen=True)
class GradientNoise(Measure):
    """The trace of the covariance of one sample's gradient, drawn at random, over the squared norm of the mean.

    With `p_i = l_i / sum l` and `g_i = grad log l_i` in the stepped parameters it is `n sum_i p_i^2 ||g_i||^2 /
    ||sum_i p_i g_i||^2 - 1`, at any depth of loss. Of a batch of `B` samples, drawn without replacement as they are,
    it is `(n - B) / (B (n - 1))` of that. A record costs a gradient for every sample.
    """

    columns: ClassVar[Columns] = {
        "gradient_noise": (REAL, "trace of the covariance of a sample's gradient over the squared norm of their mean"),
    }
    noise_every: int | None = setting(
        None, "record the gradient noise at every so many-th record", least=1, null="for never"
    )

    @property
    def every(self):
        return self.noise_every or 1

    def cost(self, network, samples):
        return len(self.columns) if self.noise_every else 0

    def measure(self, look):
        dtype = look.log_loss.dtype

        def of_sample(pair):
            x, y = pair
            log_loss, gradient = jax.value_and_grad(look.log_loss_at)(look.parameters, x[None], y[None])
            return log_loss, log_norm(flat(gradient).astype(dtype))

        logs, log_sizes = jax.lax.map(of_sample, (look.inputs, look.labels))
        log_shares = logs - jax.nn.logsumexp(logs)
        whole = jax.grad(look.log_loss_at)(look.parameters, look.inputs, look.labels)
        log_sum = jax.nn.logsumexp(2 * (log_shares + log_sizes)) - 2 * log_norm(flat(whole).astype(dtype))
        return {"gradient_noise": len(logs) * jnp.exp(log_sum) - 1}

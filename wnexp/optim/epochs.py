"""Mini-batch SGD by whole epochs, with the loss-based step of `descent.py`.

An attempt is an epoch; it is refused when the full training loss after it is higher or not finite. `Lref` is the
training loss after the last accepted epoch. A batch whose loss rises above `Lref` then steps ever further, and the
epoch ends in an overflow: half of all epochs are refused. `clipped`, a rule of ours, steps as if no batch had a loss
above `Lref`,

    theta' = theta - lr * min(L_batch / Lref, 1) * grad log L_batch    (frac = 0),

so an epoch that fails does so by little, and a larger `lr` succeeds. On `L` such a batch is a step of
`eta * min(Lref / L_batch, 1)`, and that is what `log_time` adds up. With `loss.reduction=sum` both losses are sums, a
batch's of fewer samples, and less is clipped; a step on it is one on `L` by its share of the samples, so an epoch
without clipping counts `eta`, with `mean` `eta` for every batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wnexp.errors import UserError
from wnexp.optim.base import Problem, moved
from wnexp.optim.descent import LossBased, counted, first_log_reference, judged, log_step, shrunk
from wnexp.settings import setting


class EpochMemory(NamedTuple):
    """What epochs remember."""

    log_reference: Float[Array, ""]  # log Lref (nats)


def over_batches(problem: Problem, batch_size: int, epoch: Array, step: Callable, carry: Any) -> tuple[Any, Any]:
    """Scan `step(carry, indices) -> (carry, made)` over one epoch: a fresh shuffle, the last, smaller batch kept."""
    samples = problem.x.shape[0]
    batch = min(batch_size, samples)
    order = jax.random.permutation(jax.random.fold_in(problem.key, epoch), samples)
    whole = samples // batch * batch
    carry, made = jax.lax.scan(step, carry, order[:whole].reshape(-1, batch))
    if whole < samples:
        carry, last = step(carry, order[whole:])
        made = jax.tree.map(jnp.append, made, last)
    return carry, made


@dataclass(frozen=True)
class Epochs(LossBased):
    """Mini-batch epochs: a fresh shuffle, every sample once, the last, smaller batch kept."""

    batch_size: int | None = setting(128, "samples per step", least=1)
    clipped: bool = False

    @property
    def full_batch(self):
        return False

    def check(self, network, norm, precision):
        super().check(network, norm, precision)
        if self.batch_size is None:
            raise UserError("optimizer.batch_size=null: mini-batches need an integer of at least 1")

    def notes(self, network, samples):
        found = super().notes(network, samples)
        if self.batch_size is None or self.batch_size <= samples:
            return found
        return [
            *found,
            f"optimizer.batch_size={self.batch_size} is more than the {samples} training samples; an epoch is one step "
            "on all of them",
        ]

    def init(self, problem, parameters, hyperparameters):
        log_loss = problem.log_loss(problem.to_weights(parameters), problem.x, problem.y)
        return log_loss, EpochMemory(log_reference=first_log_reference(log_loss, hyperparameters))

    def propose(self, problem, now, hyperparameters):
        assert self.batch_size is not None
        log_reference = now.memory.log_reference
        log_eta = log_step(now.step_size, log_reference, hyperparameters)

        def log_loss_of(parameters, x, y):
            return problem.log_loss(problem.weights_and_scales(parameters), x, y)

        def step(parameters, indices):
            log_loss, slope = jax.value_and_grad(log_loss_of)(parameters, problem.x[indices], problem.y[indices])
            clipped = jnp.minimum(log_loss, log_reference) if self.clipped else log_loss
            shorter = shrunk(parameters, now.step_size, hyperparameters)
            return moved(shorter, slope, jnp.exp(log_eta + clipped)), clipped - log_loss

        parameters, cuts = over_batches(problem, self.batch_size, now.attempts, step, now.parameters)
        log_loss = log_loss_of(parameters, problem.x, problem.y)
        # The summed steps on L in units of eta; a batch is cut by what its loss is above the reference.
        samples, batch = problem.x.shape[0], self.batch_size
        shares = [problem.share(min(batch, samples - first), samples) for first in range(0, samples, batch)]
        log_steps = jax.nn.logsumexp(cuts, b=jnp.asarray(shares)) if self.clipped else jnp.log(sum(shares))
        proposal = now._replace(
            parameters=parameters,
            memory=EpochMemory(log_reference=log_loss),
            log_loss=log_loss,
            log_time=jnp.logaddexp(now.log_time, counted(log_eta + log_steps, hyperparameters)),
        )
        return judged(now, proposal, hyperparameters)

"""The step rules once more, from their papers' recursions, in plain floats.

A rule is an object whose `step(gradients)` gives the directions, lists of arrays. The gradients are those of `L`,
in longdouble, whose range of e^-11,355 is deep enough for a test; or those of `log L`, where these are remembered.
"""

import jax
import numpy as np

WIDE = np.longdouble


def polar(matrix):
    u, s, vt = np.linalg.svd(matrix.astype(float), full_matrices=False)
    return (u * (s > 1e-14 * s[0])) @ vt


def newton_schulz(matrix):
    x = matrix / np.sqrt(np.sum(matrix**2))
    for _ in range(5):
        x = 3.4445 * x - 4.7750 * x @ x.T @ x + 2.0315 * x @ x.T @ x @ x.T @ x
    return x.astype(float)


def unit(leaves):
    return [leaf / np.sqrt(sum(np.sum(leaf**2) for leaf in leaves)) for leaf in leaves]


def largest_entry(leaves):
    chosen = max(range(len(leaves)), key=lambda index: np.abs(leaves[index]).max())
    found = [np.zeros_like(leaf) for leaf in leaves]
    place = np.unravel_index(np.abs(leaves[chosen]).argmax(), leaves[chosen].shape)
    found[chosen][place] = np.sign(leaves[chosen][place])
    return found


def spectral(polar):
    return lambda leaves: [polar(leaf) if leaf.ndim > 1 else np.sign(leaf) for leaf in leaves]


def rank_one(leaves):
    def top(leaf):
        if leaf.ndim == 1:
            return np.abs(leaf).max(), largest_entry([leaf])[0]
        u, s, vt = np.linalg.svd(leaf.astype(float), full_matrices=False)
        return s[0], np.outer(u[:, 0], vt[0])

    tops = [top(leaf) for leaf in leaves]
    chosen = max(range(len(tops)), key=lambda index: tops[index][0])
    return [direction if index == chosen else np.zeros_like(direction) for index, (_, direction) in enumerate(tops)]


def zeros(leaves):
    return [np.zeros(leaf.shape, WIDE) for leaf in leaves]


class Rule:
    """A rule's recursion; `step` gets the gradients it remembers and feeds on, true ones, and returns directions."""

    def __init__(self, leaves, **numbers):
        self.n, self.t = numbers, 0
        self.m, self.v = zeros(leaves), zeros(leaves)

    def copy(self):
        other = type(self)(self.m, **self.n)
        other.t, other.m, other.v = self.t, [m.copy() for m in self.m], [v.copy() for v in self.v]
        return other

    def average(self, b1, g):
        self.m = [b1 * m + (1 - b1) * new for m, new in zip(self.m, g, strict=True)]
        return self.m

    def squares(self, b2, g):
        self.v = [b2 * v + (1 - b2) * new**2 for v, new in zip(self.v, g, strict=True)]
        return self.v


def steepest(direction):
    class Steepest(Rule):
        def step(self, g):
            return direction(g)

    return Steepest


def averaged(direction):
    class Averaged(Rule):
        def step(self, g):
            return direction(self.average(self.n["b1"], g))

    return Averaged


class Momentum(Rule):
    nesterov = False

    def step(self, g):
        self.m = [self.n["b1"] * m + new for m, new in zip(self.m, g, strict=True)]
        return [new + self.n["b1"] * m for m, new in zip(self.m, g, strict=True)] if self.nesterov else self.m


class Nesterov(Momentum):
    nesterov = True


class Lion(Rule):
    def step(self, g):
        b1, b2 = self.n["b1"], self.n["b2"]
        found = [np.sign(b1 * m + (1 - b1) * new) for m, new in zip(self.m, g, strict=True)]
        self.average(b2, g)
        return found


def ratio(m, root, eps):
    with np.errstate(invalid="ignore"):
        return np.where(m == 0, 0, m / (root + eps))


class Adam(Rule):
    def step(self, g):
        self.t += 1
        b1, b2 = self.n["b1"], self.n["b2"]
        m = [m / (1 - b1**self.t) for m in self.average(b1, g)]
        v = [v / (1 - b2**self.t) for v in self.squares(b2, g)]
        return [ratio(first, np.sqrt(second), self.n.get("eps", 0)) for first, second in zip(m, v, strict=True)]


class MuonWithAdam(Adam):
    def step(self, g):
        adam = super().step(g)
        return [polar(m / np.abs(m).max()) if m.ndim > 1 else d for m, d in zip(self.m, adam, strict=True)]


class RmsProp(Rule):
    def step(self, g):
        roots = [np.sqrt(v) for v in self.squares(self.n["b2"], g)]
        return [ratio(new, root, self.n.get("eps", 0)) for new, root in zip(g, roots, strict=True)]


class AdaGrad(Rule):
    def step(self, g):
        self.v = [v + new**2 for v, new in zip(self.v, g, strict=True)]
        roots = [np.sqrt(v + self.n.get("eps", 0) ** 2) for v in self.v]
        return [ratio(new, root, 0) for new, root in zip(g, roots, strict=True)]


class DualAcceleration(Rule):
    """`g_t = t/(t+1) (g_{t-1} + q_t)`, along `g_t + q_t`: as the paper has it, `m` is `g_t`."""

    def step(self, g):
        beta = self.t / (self.t + 1)
        self.t += 1
        self.m = [beta * (m + new) for m, new in zip(self.m, g, strict=True)]
        return [m + new for m, new in zip(self.m, g, strict=True)]


RULES = {
    "momentum": Momentum, "nesterov": Nesterov, "normalized_gd": steepest(unit), "dual_acceleration": DualAcceleration,
    "sign": steepest(lambda leaves: [np.sign(leaf) for leaf in leaves]), "coordinate": steepest(largest_entry),
    "spectral": steepest(spectral(polar)), "nuclear": steepest(rank_one),
    "signum": averaged(lambda leaves: [np.sign(leaf) for leaf in leaves]), "muon": averaged(spectral(polar)),
    "lion": Lion, "adam": Adam, "adamw": Adam, "rmsprop": RmsProp, "adagrad": AdaGrad,
    "spectral newton_schulz": steepest(spectral(newton_schulz)),
    "muon newton_schulz": averaged(spectral(lambda m: newton_schulz(m / np.abs(m).max()))),
    "muon adam": MuonWithAdam,
}  # fmt: skip
ON_LOSS = ("momentum", "nesterov", "adagrad")  # their direction is a step on L


def trained(net, leaves, name, numbers, steps, batch=None, memory="loss", seed=0):
    """The log loss at the start and after every accepted attempt, and the last leaves.

    `numbers` are the settings of the rule, and `eps`.
    """
    rule, own, refused = RULES[name](leaves, **numbers), numbers, 0
    log_loss, slopes = net.look(leaves)
    lr, reference, logs, attempts, updates = own["step_size"], 0.0, [log_loss], 0, 0
    fade = frame = log_loss
    exponent = 0.0 if own["accept"] == "any" or name not in ON_LOSS else 1 / own["frac"] - 1 if own["frac"] else -1.0
    while len(logs) <= steps:
        assert attempts < 50 * steps
        now, new, count, fade = rule.copy(), leaves, updates, frame
        if refused >= 10 and "b1" in own:  # along the gradient alone
            now, fade = RULES[name](leaves, **numbers), log_loss
        samples = len(net.x)
        order = np.asarray(jax.random.permutation(jax.random.fold_in(jax.random.key(seed), attempts), samples))
        for indices in [None] if batch is None else [order[at : at + batch] for at in range(0, samples, batch)]:
            seen, slopes = net.look(new) if indices is None else net.look(new, indices)
            loss = np.exp(WIDE(seen))
            remembers = memory == "loss" and name != "dual_acceleration"
            directions = now.step([WIDE(loss if remembers else 1) * slope for slope in slopes])
            count += 1
            step = lr / (count + 1) ** own["decay"]
            scale = WIDE(step)
            if name in ON_LOSS:
                lowest = seen if own.get("reference") == "present" else reference
                if own.get("reference") == "memory" and remembers:
                    fade = max(seen, fade + np.log(own["b1"]))
                    lowest = max(lowest, fade)
                scale = scale * np.exp(WIDE(exponent * lowest)) * (1 if remembers else loss)
            kept = 1 - step * own["weight_decay"]
            new = [(kept * p - scale * d).astype(float) for p, d in zip(new, directions, strict=True)]
        found = net.look(new)[0]
        attempts += 1
        if own["accept"] == "any" or found <= log_loss:
            reference = found if batch is not None else log_loss
            rule, leaves, log_loss, updates, frame, refused = now, new, found, count, fade, 0
            logs.append(found)
            lr = lr * own["factor"] if own["accept"] == "lower" and lr < (own["step_size_cap"] or np.inf) else lr
        else:
            lr, refused = lr / (own["shrink"] or own["factor"]), refused + 1
    return np.array(logs), leaves, attempts - steps

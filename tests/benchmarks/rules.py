"""The rows of `bench.py` on step rules: wnexp, at any depth of loss, against optax and torch.optim used plainly on L.

All take the same updates from the same start, and their log losses after them agree. The frame alone is what
`optimizer.memory=loss` costs beside `memory=log_loss`, which needs none.
"""

from collections.abc import Callable
from functools import partial

from alone import loop
from exchange import Agreement, export
from harness import Bench, Row, in_turns, script, statuses, wnexp

# As optax_rules.py and torch_rules.py have them; the others have no part in optax.
RULES = {
    "momentum": ("optimizer.accept=any", "optimizer.step_size_cap=null"),
    "nesterov": ("optimizer.accept=any", "optimizer.step_size_cap=null"),
    "sign": (),
    "signum": (),
    "lion": (),
    "adam": (),
    "rmsprop": (),
    "adagrad": ("optimizer.accept=any", "optimizer.step_size_cap=null"),
    "muon": ("optimizer.polar=newton_schulz",),
}
IN_TORCH = ("momentum", "nesterov", "adam", "rmsprop", "adagrad")  # its Muon computes in bfloat16
ALONE = ("normalized_gd", "dual_acceleration", "coordinate", "spectral", "nuclear")
WITH_FRAME = ("adam", "signum", "momentum")
STEP_SIZE = 1e-6  # short: a run of so many updates stays where ordinary floats hold its loss
TORCH_IS_SLOWER_BY = 50  # fewer updates


def small(rule: str) -> Callable[[Bench], list[Row]]:
    """Updates a second of the 2-8-1 net on lin-sep, against optax and, where it has the rule, torch.optim."""

    def make(bench: Bench) -> list[Row]:
        updates = 2_000 if bench.quick else 500_000
        folder = bench.fresh(f"rule_{rule}")
        start = folder / "start.npz"
        train = wnexp("train", *_settings(rule, updates), f"outputs={folder}")
        bench.python(train)
        (path,) = (status.parent for status in folder.rglob("run.json"))
        export(path, start)
        reached = statuses(folder)[0]["seeds"][0]["log_loss"]

        def ours() -> float:
            bench.python([*train, "overwrite=true"])
            return updates / statuses(folder)[0]["loop_seconds"]

        def theirs(name: str, count: int) -> Callable[[], float]:
            words = script(name, "small", rule, "--start", start, "--updates", count, "--step-size", STEP_SIZE)

            def timed() -> float:
                done = bench.python(words).json()
                if count == updates:
                    bench.agreements.append(agreement(rule, reached, done["log_loss"], updates))
                return count / done["seconds"]

            return timed

        others = {"optax": theirs("optax_rules.py", updates)}
        if rule in IN_TORCH:
            others["torch.optim"] = theirs("torch_rules.py", max(updates // TORCH_IS_SLOWER_BY, 100))
        mine, *sides = in_turns(bench.repeats, ours, *others.values())
        title = f"2-8-1, {rule}: updates in the loop"
        return [
            Row(f"{title}; {other} on L", mine, side, "a second", True)
            for other, side in zip(others, sides, strict=True)
        ]

    return make


def _settings(rule: str, updates: int) -> list[str]:
    steps = (f"optimizer.step_size={STEP_SIZE}", f"stop.max_steps={updates}", "stop.log_loss=-1e9")
    return ["+norm=none", f"optimizer={rule}", *steps, *RULES.get(rule, ())]


def agreement(rule: str, ours: float, theirs: float, updates: int) -> Agreement:
    """Whether both reached one log loss (nats)."""
    return Agreement(f"2-8-1, {rule}", abs(ours - theirs), (updates, updates))


def alone(bench: Bench) -> list[Row]:
    """Updates a second of the rules that optax lacks; and what the frame costs, the ratio of the rates."""
    updates = 2_000 if bench.quick else 500_000

    def rate(rule: str, *words: str) -> float:
        seconds, attempts, _ = loop(bench, [*_settings(rule, updates), *words])
        return attempts / seconds

    made = []
    for rule in ALONE:
        rates = [rate(rule) for _ in range(bench.repeats)]
        made.append(Row(f"2-8-1, {rule}: updates in the loop", rates, unit="a second", more_is_better=True))
    for rule in WITH_FRAME:
        sides = [partial(rate, rule, f"optimizer.memory={memory}") for memory in ("loss", "log_loss")]
        framed, plain = in_turns(bench.repeats, *sides)
        made.append(Row(f"2-8-1, {rule}: the frame; without, memory=log_loss", framed, plain, "a second", True))
    return made


def epoch(rule: str) -> Callable[[Bench], list[Row]]:
    """An epoch of MNIST's size, warm, in one process a side."""

    def make(bench: Bench) -> list[Row]:
        # Newton-Schulz of 784 x 1024 takes ten times the update's other work.
        samples = 2_048 if bench.quick else 6_000 if rule == "muon" else 60_000
        size = ["--samples", str(samples), "--epochs", "2" if bench.quick else "3"]
        sides = {
            "wnexp": script("wnexp_epoch.py", "--norm", "none", "--rule", rule, *size),
            "optax": script("optax_rules.py", "epoch", rule, *size),
        }
        if rule in IN_TORCH:
            sides["torch.optim"] = script("torch_rules.py", "epoch", rule, *size)
        bench.python(sides["wnexp"])
        timed = [lambda words=words: bench.python(words).json()["epoch"] for words in sides.values()]
        mine, *others = in_turns(bench.repeats, *timed)
        title = f"{'MNIST-sized epoch' if samples > 10_000 else f'epoch of {samples:,} images'}, {rule}"
        return [Row(f"{title}; {other} on L", mine, side) for other, side in zip([*sides][1:], others, strict=True)]

    return make

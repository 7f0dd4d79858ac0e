"""The claims on step rules, judged on true runs and on ones that the claims must refute."""

import dataclasses

import numpy as np
import pytest

from wnexp import runner, theory
from wnexp.runs.reader import Run
from wnexp.theory import optimizers, rule_battery
from wnexp.theory.claims import CLAIMS
from wnexp.theory.hypothesis import judge
from wnexp.theory.optimizers import note_shares

pytestmark = pytest.mark.slow
JOBS = rule_battery.jobs(range(1))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Name -> run, trained when it is first asked for."""
    folder, found = tmp_path_factory.mktemp("rules"), {}

    def get(name):
        if name not in found:
            directory = folder / name
            runner.train(JOBS[f"rules/{name}/0"], directory)
            (found[name],) = theory.load_runs([Run(directory)])
        return found[name]

    return get


def verdict(claim, run):
    """The verdict of a claim on one run."""
    found = CLAIMS[claim]
    assert found.applies(run)
    return judge(found.evidence([run], [run]), found.tolerance(run), found.one_sided)


def as_if(run, **changes):
    """The run as if its rule had other settings, or properties, than it has."""
    fields = {one.name: getattr(run.config.optimizer, one.name) for one in dataclasses.fields(run.config.optimizer)}
    own = {name: property(lambda self, value=value: value) for name, value in changes.items() if name not in fields}
    doctored = type("Doctored", (type(run.config.optimizer),), own)
    rule = doctored(**fields | {name: value for name, value in changes.items() if name in fields})
    config = dataclasses.replace(run.config, optimizer=rule)
    return dataclasses.replace(run, reopened=run.reopened._replace(config=config))


@pytest.fixture
def larger_margins(monkeypatch):
    """As if the largest margins were five times larger: more than any length of steps explains."""
    true = optimizers.share_of_largest
    return lambda: monkeypatch.setattr(optimizers, "share_of_largest", lambda *given: 0.2 * true(*given))


@pytest.mark.parametrize("rule", ["normalized_gd", "sign", "coordinate", "spectral", "nuclear"])
def test_the_margin_in_the_rules_own_geometry_is_the_largest_and_in_no_other(trained, rule, larger_margins):
    run = trained(f"classes/{rule}")
    assert verdict("M1", run).verdict == "holds"
    for other in {"l2", "linf", "l1", "spectral", "nuclear"} - {run.geometry_of_rule}:
        found = verdict("M1", as_if(run, geometry=other))
        assert found.high > 0.01 and found.verdict != "holds", other
    larger_margins()
    assert verdict("M1", run).verdict == "fails"


@pytest.mark.parametrize(
    "rule", ["momentum", "nesterov", "signum", "lion", "muon", "adam", "rmsprop", "dual_acceleration"]
)
def test_memory_changes_no_limit(trained, rule, larger_margins):
    run = trained(f"classes/{rule}")
    assert verdict("M6", run).verdict == "holds"
    larger_margins()
    assert verdict("M6", run).verdict == "fails"


@pytest.mark.parametrize("name", ["classes/normalized_gd", "classes/dual_acceleration", "scheduled/sign"])
def test_the_gap_falls_as_its_theorem_says(trained, name):
    run = trained(name)
    assert verdict("M3", run).verdict == "holds"
    other = {0.5: 1.0, 1.0: 2.0, 2.0: 1.0}[run.config.optimizer.gap_power]
    assert verdict("M3", as_if(run, gap_power=other)).verdict == "fails"


@pytest.mark.parametrize("net", ["relu", "relu_squared"])
@pytest.mark.parametrize("rule", ["normalized_gd", "sign", "nuclear"])
def test_the_generalized_alignment_tells_the_geometry(trained, net, rule):
    run = trained(f"{net}/{rule}")
    assert verdict("M2 others", run).verdict == "holds"
    other = "linf" if rule != "sign" else "l2"
    assert verdict("M2 others", as_if(run, geometry=other)).low > 0.05


@pytest.mark.parametrize("name", ["adam-0.9", "rmsprop-0.9"])
def test_the_second_moment_caps_the_speed(trained, name):
    run = trained(f"speed/{name}")
    found = verdict("M4", run)
    assert found.verdict == "holds" and abs(found.high) < 0.002  # steps that long reach the cap
    assert verdict("M4", as_if(run, speed_limit=run.config.optimizer.speed_limit / 1.05)).verdict == "fails"


def test_without_its_condition_there_is_no_cap(tmp_path):
    words = [word for word in JOBS["rules/speed/adam-0.9/0"] if not word.startswith("stop.")]
    cap = -np.log(0.9) / 2
    for b1, runs_away in ((0.9, False), (0.96, True)):  # beside b2 = .9
        run = runner.train(
            [*words, f"optimizer.b1={b1}", "stop.max_steps=1500", "stop.log_loss=-5000"], tmp_path / str(b1)
        )
        (figures,) = run.status.seeds
        assert (-figures["log_loss"] > 3 * cap * figures["step"]) == runs_away


def test_two_memories_that_fade_alike_have_no_cap(tmp_path):
    words = [word for word in JOBS["rules/speed/adam-0.9/0"] if not word.startswith("optimizer.b2")]
    words += ["optimizer.b1=0.9", "optimizer.b2=0.81", "stop.max_steps=5000"]
    (run,) = theory.load_runs([runner.train(words, tmp_path)])
    assert run.config.optimizer.speed_limit is None and not CLAIMS["M4"].applies(run)
    assert run.seeds[0].depth[-1] > 2 * -np.log(0.81) / 2 * 5000


def test_a_fall_ahead_of_the_cap_is_waited_for(tmp_path):
    """Long first steps on a net leave the second moment hundreds of nats behind; nothing moves until it has faded."""
    own = ("optimizer=adam", "optimizer.step_size=1", "optimizer.b2=0.9", "norm=swn", "model.activation=relu_squared")
    net = [word for word in JOBS["rules/relu_squared/adam/0"] if word.startswith(("data", "record", "loss", "model.w"))]
    (run,) = theory.load_runs([runner.train([*net, *own, "stop.log_loss=-1e9", "stop.max_steps=20000"], tmp_path)])
    (seed,), (figures,) = run.seeds, run.run.status.seeds
    cap, early = run.config.optimizer.speed_limit, np.searchsorted(seed.steps["step"], 600)
    assert seed.depth[early] > 5 * cap * 600 and figures["outcome"] == "max_steps"
    assert np.isclose(seed.depth, seed.depth[early], rtol=1e-9).sum() > 10  # records
    assert seed.depth[-1] == pytest.approx(cap * 20000, rel=0.02)
    assert verdict("M4", run).verdict == "holds"


def test_an_absolute_eps_takes_over_where_the_loss_is_about_eps(trained):
    run = trained("eps/-20")
    assert verdict("M5", run).verdict == "holds"
    assert verdict("M5", as_if(run, log_eps=-40.0)).verdict == "fails"


def test_shares_are_filled_in_and_are_those_of_the_largest_margin(trained):
    run = trained("classes/sign")
    before = run.run.frame("geometry")
    assert before["share_of_largest"].isna().all()
    note_shares(run)
    after = run.run.frame("geometry")
    assert (after.drop(columns="share_of_largest") == before.drop(columns="share_of_largest")).all(axis=None)
    assert after["share_of_largest"].max() < 1 + 1e-7
    own = after[after["geometry"] == "linf"].iloc[-1]
    assert own["share_of_largest"] > 0.998


def test_shares_are_known_of_normalized_models_too_which_no_claim_on_margins_judges(tmp_path):
    words = [word for word in JOBS["rules/classes/sign/0"] if not word.startswith("stop.")]
    (run,) = theory.load_runs([runner.train([*words, "norm=swn", "stop.max_steps=300"], tmp_path)])
    note_shares(run)
    shares = run.run.frame("geometry")["share_of_largest"]
    assert shares.notna().all() and shares.max() < 1 + 1e-7
    assert not any(CLAIMS[name].applies(run) for name in ("M1", "M6", "M3"))

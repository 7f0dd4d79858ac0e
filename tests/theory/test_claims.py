"""The claims: fits that recover known numbers, references, verdicts, and mutations that must not go unnoticed."""

import dataclasses
import json

import mpmath
import numpy as np
import pandas as pd
import pytest
from sklearn.svm import SVC

from tests.test_conf import compose
from wnexp import losses, network, runner, theory, train, weightnorm
from wnexp.config import UserError
from wnexp.theory import battery, claims, fits, reference
from wnexp.theory.runs import Lane

FLOW = ("data=gaussian", "data.inputs=3", "model.widths=[3]", "optimizer=flow", "record.every=2", "loss=exponential")

SQUARED = ("model.activation=relu_squared", "data.inputs=2", "data.train_per_class=8", "model.widths=[8]")


def lane(tau, norms, log_gradients=None, alignments=None, layers=None, **steps):
    """A seed made of curves."""
    norms = np.asarray(norms, float)
    zeros = np.zeros_like(norms)
    columns = {"log_loss": -tau, "log_time": tau, "margin": np.ones_like(tau)} | steps
    layers = np.zeros(norms.shape[1], int) if layers is None else np.asarray(layers)
    gradients = zeros if log_gradients is None else log_gradients
    return Lane(0, columns, norms, gradients, zeros + 1 if alignments is None else alignments, layers)


TAU = np.geomspace(1, 1e4, 400)


@pytest.mark.parametrize("p", [0.0, 4 / 3, 2.0])
def test_exponents_are_recovered_with_their_next_order(p):
    x = TAU
    one = lane(TAU, np.ones((400, 1)), log_time=x)
    curve = p * np.log(x) + 0.7 + 3 * np.log(x) / x - 5 / x + 20 / x**2
    assert fits.exponent(one, curve, 1.0) == pytest.approx(p, abs=1e-4)
    measured = fits.judge_exponent([one], [curve], p, 0.005)
    assert measured.verdict == theory.HOLDS and measured.uncertainty < 1e-3
    assert fits.judge_exponent([one], [curve], p + 0.1, 0.005).verdict == theory.FAILS


def test_exponents_of_shallow_runs_are_not_reached():
    tau = np.geomspace(1, 300, 100)
    one = lane(tau, np.ones((100, 1)))
    measured = fits.judge_exponent([one], [3 * np.log(tau)], 2.0, 0.005)
    assert measured.verdict == theory.NOT_REACHED and measured.needed == 1000
    assert fits.judge_exponent([], [], 2.0, 0.005).verdict == theory.NOT_REACHED


def test_limits_hold_fall_or_fail():
    one = lane(TAU, np.ones((400, 1)))
    falling, standing = TAU**-0.25, np.full_like(TAU, 0.3)
    assert fits.judge_limit([one], [falling], [True], 0.2).verdict == theory.HOLDS
    slow = fits.judge_limit([one], [falling], [True], 0.05)
    assert slow.verdict == theory.NOT_REACHED and slow.needed == pytest.approx(20**4, rel=1e-6)
    assert fits.judge_limit([one], [standing], [True], 0.05).verdict == theory.FAILS
    assert fits.judge_limit([one], [standing], [False], 0.05).verdict == theory.NOT_REACHED
    assert fits.judge_limit([one], [np.full_like(TAU, np.nan)], [True], 0.05).verdict == theory.FAILS


def test_active_neurons_keep_up_with_the_fastest_of_their_layer():
    norms = np.stack([TAU**0.5, 3 * TAU**0.5, 10 * TAU**0.2, np.full_like(TAU, 50.0), TAU**0.1], axis=1)
    one = lane(TAU, norms, layers=[0, 0, 0, 0, 1])
    np.testing.assert_array_equal(one.active, [True, True, False, False, True])
    np.testing.assert_allclose(one.growth, [0.5, 0.5, 0.2, 0, 0.1], atol=1e-12)


def test_shares_add_up_to_one_in_a_layer_whatever_the_scale():
    norms = np.tile([2.0, 1.0, 5.0], (400, 1))
    gradients = np.log([1.0, 6.0, 0.4]) - 5000.0
    one = lane(TAU, norms, np.tile(gradients, (400, 1)), layers=[0, 0, 1])
    np.testing.assert_allclose(one.shares()[-1], [0.25, 0.75, 1.0])


def test_the_hard_margin_normal_is_the_svms():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((30, 4))
    y = np.where(x[:, 0] > 0, 1, -1)
    x[:, 0] += 0.2 * y
    normal = reference.hard_margin_normal(x, y)
    support = SVC(kernel="linear", C=1e8, tol=1e-8)
    support.fit(np.concatenate([x, -x]), np.concatenate([y, -y]))  # symmetric data: no offset
    np.testing.assert_allclose(normal, support.coef_[0] / np.linalg.norm(support.coef_), atol=1e-4)


def test_the_time_bound_agrees_with_mpmath():
    for low, high in ((1, 3), (2, 90), (5, 130), (50, 5000)):
        with mpmath.workdps(40):
            integral = mpmath.ei(high) - mpmath.exp(high) / high - mpmath.ei(low) + mpmath.exp(low) / low
            want = float(mpmath.log(integral))
        one = lane(np.array([float(low), float(high)]), np.ones((2, 1)), log_time=np.array([-50.0, want]))
        assert reference.excess_time(one, 1.0) == pytest.approx(0, abs=1e-9)
        assert reference.excess_time(one, 2.0) == pytest.approx(np.log(2), abs=1e-9)


@pytest.fixture
def judged(tmp_path):
    """Train flow in a folder of its own and judge it: `(norm, more overrides)` -> claim -> row."""
    train.make_train.cache_clear()  # a mutation must not find a program compiled without it

    def judge(*settings):
        found = []
        for index, overrides in enumerate(settings):
            runner.run(compose(*FLOW, *overrides), tmp_path / str(index))
            found.append(tmp_path / str(index))
        return {row["claim"]: row for row in theory.judge(theory.load_runs(found))}

    yield judge
    train.make_train.cache_clear()


def test_ewn_to_ten_thousand_nats(judged):
    """Two-layer linear: conservation to 1e-6, the finite-time bound, `p = 2`, and the twin in the parameters."""
    flow = ("norm=ewn", "model.activation=linear", "snapshots=[-10,-1000]")
    found = judged((*flow, "stop.log_loss=-10000"), (*flow, "stop.log_loss=-1000", "optimizer.variables=parameters"))
    assert found["C1"]["verdict"] == found["C10"]["verdict"] == found["C11"]["verdict"] == theory.HOLDS
    assert found["C6"]["measured"] == pytest.approx(2, abs=0.02)
    assert found["C7"]["measured"] == pytest.approx(0.5, abs=0.02)
    assert "C8" not in found and "C9" not in found and "C4" not in found


def swap_ewn_and_swn(monkeypatch):
    ewn, swn = weightnorm.NORMS["ewn"], weightnorm.NORMS["swn"]
    monkeypatch.setitem(weightnorm.NORMS, "ewn", ewn._replace(metric=swn.metric))
    monkeypatch.setitem(weightnorm.NORMS, "swn", swn._replace(metric=ewn.metric))


def drop_the_squared_norm(monkeypatch):
    plain = weightnorm.NORMS["none"].metric
    monkeypatch.setitem(weightnorm.NORMS, "ewn", weightnorm.NORMS["ewn"]._replace(metric=plain))


def depth_for_degree(monkeypatch):
    monkeypatch.setattr(network.Network, "degrees", property(lambda self: (1,) * len(self.layers)))


MUTATIONS = {
    swap_ewn_and_swn: ("norm=ewn", {"C10"}),
    drop_the_squared_norm: ("norm=ewn", {"C10"}),
    depth_for_degree: ("norm=none", {"C6", "C7", "C10"}),
}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_mutations_are_noticed(judged, monkeypatch, mutation):
    norm, failing = MUTATIONS[mutation]
    mutation(monkeypatch)
    found = judged((norm, *SQUARED, "stop.log_loss=-3000"))
    assert {claim for claim, row in found.items() if row["verdict"] == theory.FAILS} >= failing


def test_the_plain_loss_for_its_log_is_noticed(judged, monkeypatch):
    log_loss = losses.log_loss
    monkeypatch.setattr(losses, "log_loss", lambda *arguments: np.e ** log_loss(*arguments))
    found = judged(("norm=none", "model.activation=linear", "stop.log_loss=-300"))
    assert not {"C6", "C10"} & {claim for claim, row in found.items() if row["verdict"] == theory.HOLDS}


def test_the_battery_composes_and_has_a_run_for_every_claim():
    for overrides in battery.jobs().values():
        compose(*overrides)
    assert {norm for name in battery.jobs() for norm in ("none", "swn", "ewn") if f"-{norm}-" in name} == {
        *("none", "swn", "ewn")
    }
    deep = battery.jobs(deep=True)["linear4-ewn-exponential"]
    assert compose(*deep).stop.log_loss == -1_000_000


def test_verify_judges_runs_writes_a_table_and_figures(inside, tmp_path):
    """Discrete descent, too shallow to tell; the exit code is 0 as nothing fails."""
    assert inside("train", "-m", "norm=none,ewn", "stop.log_loss=-20")[0] == 0
    code, out, err = inside("verify", "lin_sep")
    assert code == 0 and not err and "not reached, needs about 1e+03 nats" in out
    table = pd.read_parquet(tmp_path / "outputs" / "lin_sep" / "verify.parquet")
    assert set(table["claim"]) == {"C2", "C3", "C5", "C6", "C7", "C9"}
    assert (tmp_path / "outputs" / "lin_sep" / "figures" / "C6.png").stat().st_size > 5000


def test_a_failing_claim_is_the_exit_code(inside, monkeypatch):
    assert inside("train", "stop.log_loss=-20")[0] == 0
    failing = dataclasses.replace(
        claims.CLAIMS["C2"], measure=lambda run, runs, tolerance: fits.Measurement(0, 1, 0, fits.FAILS)
    )
    monkeypatch.setitem(claims.CLAIMS, "C2", failing)
    code, out, _ = inside("verify", "lin_sep")
    assert code == 1 and "fails" in out


def test_seeds_that_do_not_separate_their_data_are_named(inside, tmp_path):
    x = np.array([[1.0, 0.5], [1.0, 0.5], [-1.0, 0.2]])
    np.savez(tmp_path / "mixed.npz", train_x=x, train_y=np.array([1, -1, 1]))
    words = ("data=file", "data.path=mixed.npz", "optimizer=flow", "model.widths=[]", "stop.log_loss=-5")
    assert inside("train", *words)[0] == 0
    code, out, _ = inside("verify", "file")
    assert code == 0 and "seed 0 does not separate its data: step_underflow at log loss" in out


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["nowhere"], 1, "nowhere: no such run directory"),
        (["--deeper"], 2, "--deeper is no option"),
        (["x", "--deep"], 2, "--deep with PATH is no option"),
    ],
)
def test_bad_words(inside, words, code, part):
    got, _, err = inside("verify", *words)
    assert got == code and part in err


def test_runs_without_records_are_one_line(inside, tmp_path):
    assert inside("train", "stop.log_loss=-20")[0] == 0
    run = next(tmp_path.rglob("run.json")).parent
    (run / "steps.parquet").write_bytes(b"PAR1")
    code, _, err = inside("verify", run)
    assert code == 1 and "records cannot be read" in err
    (run / "steps.parquet").unlink()
    assert "no records yet" in inside("verify", run)[2]
    assert json.loads((run / "run.json").read_text())["status"] == "finished"
    with pytest.raises(UserError, match="no records yet"):
        theory.load_runs([run])

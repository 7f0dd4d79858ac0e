"""`wnexp runs`: one line a run, and why runs failed."""

from wnexp.runs import status
from wnexp.runs.status import Status

SEED = {"seed": 0, "outcome": "target_reached", "log_loss": -20.5, "step": 7, "attempts": 8, "step_size": 0.01}
CONFIG = {"seed": 0, "norm.name": "ewn"}


def made(folder, **content):
    folder.mkdir(parents=True)
    status.write(folder, Status(**{"status": "finished", "config": CONFIG, "seeds": [SEED], "steps": 7} | content))


def test_what_has_been_run_is_listed(inside, tmp_path):
    made(tmp_path / "outputs/lin_sep/norm=ewn", wall_seconds=1.25)
    made(tmp_path / "outputs/xor/default", status="failed", error="no space left", seeds=[])
    code, out, err = inside("runs")
    assert code == 0 and err == ""
    lines = [line.split() for line in out.splitlines()]
    assert lines[0][:4] == ["run", "status", "seeds", "outcome"]
    assert lines[1] == ["outputs/lin_sep/norm=ewn", "finished", "1", "target_reached", "7", "-20.5", "1.2"]
    assert lines[2][:4] == ["outputs/xor/default", "failed", "0", "-"]
    assert out.splitlines()[3:] == ["  outputs/xor/default: no space left"]


def test_only_those_named_are_listed(inside, tmp_path):
    for name in ("a", "b", "c"):
        made(tmp_path / "outputs" / name / "default")
    out = inside("runs", "outputs/a", "c")[1]
    assert [line.split()[0] for line in out.splitlines()] == ["run", "outputs/a/default", "outputs/c/default"]


def test_a_run_that_cannot_be_read_hides_no_other(inside, tmp_path):
    made(tmp_path / "outputs/a")
    made(tmp_path / "outputs/b")
    (tmp_path / "outputs/a/run.json").write_text("{")
    code, out, err = inside("runs")
    assert code == 0 and "unreadable run.json" in out.splitlines()[1] and "finished" in out.splitlines()[2]
    assert err.startswith("wnexp: ") and "overwrite=true" in err and len(err.splitlines()) == 1

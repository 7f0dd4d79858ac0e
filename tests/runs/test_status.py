"""run.json: what was written comes back, damage and edits are noticed, keys of others are kept."""

import json

import pytest

from wnexp.errors import UserError
from wnexp.runs import status
from wnexp.runs.files import previous
from wnexp.runs.status import Status

SEED = {"seed": 5, "outcome": "target_reached", "log_loss": -40.5, "step": 9, "attempts": 9, "step_size": 0.01}


def written(folder, **changes):
    found = Status(status="running", config={"seed": 5, "norm.name": "swn"}, seeds=[])
    for name, value in changes.items():
        setattr(found, name, value)
    status.write(folder, found)
    return found


def edited(folder, **changes):
    path = folder / status.NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_is_written_comes_back(tmp_path):
    law = {"normalizes": True, "slope": -1.0, "exponent": 2.0}
    full = written(tmp_path, status="finished", seeds=[SEED], steps=9, loop_seconds=1.25, law=law, versions={"a": "1"})
    assert status.read(tmp_path) == full and full.schema == status.SCHEMA
    assert "error" not in json.loads((tmp_path / "run.json").read_text())
    failed = written(tmp_path, status="failed", error="no space")
    assert status.read(tmp_path) == failed
    assert status.read(tmp_path / "none") is None and status.read(tmp_path / "run.json") is None


def test_a_log_loss_that_is_no_number_is_null_and_nan_is_never_written(tmp_path):
    null = written(tmp_path, seeds=[SEED | {"log_loss": None}])
    assert status.read(tmp_path) == null
    with pytest.raises(ValueError, match="JSON compliant"):
        written(tmp_path, seeds=[SEED | {"log_loss": float("nan")}])
    assert status.read(tmp_path) == null


@pytest.mark.parametrize(
    "damage",
    [
        "{",
        "[]",
        "{}",
        '{"status": "finished", "config": {}, "seeds": []}',
        '{"status": "finished", "config": {"seed": 0, "norm.name": "swn"}, "seeds": [{"seed": 0}]}',
        '{"status": "finished", "config": {"seed": 0, "norm.name": "swn"}, "seeds": [], "schema": "2"}',
        '{"status": "finished", "config": {"seed": 0, "norm.name": "swn"}, "seeds": [], "attempts": null}',
        '{"status": "finished", "config": {"seed": 0, "norm.name": "swn"}, "seeds": [], "law": "x", "schema": 2}',
        '{"status": "finished", "config": {"seed": 0, "norm.name": "swn"}, "seeds": [], "law": {}, "schema": 2}',
        "\udc80",
    ],
)
def test_what_is_no_status_is_one_line(tmp_path, damage):
    (tmp_path / "run.json").write_text(damage, errors="surrogateescape")
    with pytest.raises(UserError, match="overwrite=true") as error:
        status.read(tmp_path)
    assert "\n" not in str(error.value) and str(tmp_path / "run.json") in str(error.value)


def test_a_changed_digit_is_noticed_and_the_version_before_used(tmp_path):
    earlier = written(tmp_path, loop_seconds=1.25)
    later = written(tmp_path, loop_seconds=2.5)
    status.write(tmp_path, earlier)
    status.write(tmp_path, later, keep_previous=True)
    path = tmp_path / "run.json"
    assert status.read(tmp_path) == later
    path.write_text(path.read_text().replace("2.5", "3.5"))
    assert status.read(tmp_path) == earlier
    previous(path).unlink()
    with pytest.raises(UserError, match="its checksum differs"):
        status.read(tmp_path)


@pytest.mark.parametrize(
    "change", [{"status": "finished"}, {"seeds": [SEED]}, {"device": "gpu"}, {"law": None}, {"error": "x"}]
)
def test_an_edited_key_of_ours_is_noticed(tmp_path, change):
    written(tmp_path, law={"normalizes": True, "slope": 1.0})
    edited(tmp_path, **change)
    with pytest.raises(UserError, match="its checksum differs: it is damaged, or was edited"):
        status.read(tmp_path)


def test_keys_of_others_are_kept_and_are_no_part_of_the_checksum(tmp_path):
    own = written(tmp_path)
    edited(tmp_path, note="the good one", tags=["a", {"b": None}])
    found = status.read(tmp_path)
    assert found is not None and found.extra == {"note": "the good one", "tags": ["a", {"b": None}]}
    found.steps = 7
    status.write(tmp_path, found)
    assert status.read(tmp_path) == found and found.config == own.config
    assert json.loads((tmp_path / "run.json").read_text())["note"] == "the good one"
    edited(tmp_path, note="another")
    again = status.read(tmp_path)
    assert again is not None and again.extra["note"] == "another" and again.steps == 7


@pytest.mark.parametrize(("norm", "slope"), [("none", 1.0), ("swn", 1.0), ("ewn", -1.0), ("other", None)])
def test_without_schema_it_is_the_first_one_whose_law_follows_from_the_name(tmp_path, norm, slope):
    content = {"status": "finished", "config": {"seed": 0, "norm.name": norm}, "seeds": []}
    (tmp_path / "run.json").write_text(json.dumps(content))
    found = status.read(tmp_path)
    assert found is not None and found.schema == 1
    assert found.law == (None if slope is None else {"normalizes": norm != "none", "slope": slope})

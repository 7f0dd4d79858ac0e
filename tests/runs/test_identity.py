"""What makes a run this run: settings, the contents of files, what differs, what another version has."""

from tests.helpers import compose
from wnexp.data import published
from wnexp.runs import identity


def test_differing_keys_are_named():
    assert identity.differing_keys({"a": 1, "b": [1.0]}, {"a": 2, "b": [1.0]}) == ["a (1 -> 2)"]
    assert identity.differing_keys({"a": 1}, {"b": None}) == ["a (1 -> None)"]


def test_a_file_is_the_same_in_another_place_and_another_with_other_contents(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.npz").write_bytes(b"data")
    first = identity.identity(compose("data=file", "data.path=d.npz"))
    assert first["data.path"] == str(tmp_path / "d.npz")
    (tmp_path / "moved").mkdir()
    monkeypatch.chdir(tmp_path / "moved")
    again = identity.identity(compose("data=file", "data.path=../d.npz"))
    assert again == first
    (tmp_path / "d.npz").rename(tmp_path / "moved/e.npz")
    moved = identity.identity(compose("data=file", "data.path=e.npz"))
    assert moved != first and identity.differing_keys(first, moved) == []
    (tmp_path / "moved/e.npz").write_bytes(b"other")
    changed = identity.identity(compose("data=file", "data.path=e.npz"))
    assert [key.split(" (")[0] for key in identity.differing_keys(first, changed)] == ["data.path", "data.path"]


def test_the_files_in_a_folder_of_data_belong_to_the_run(tmp_path):
    config = compose("data=mnist", f"data.dir={tmp_path}")
    assert "data.dir (sha256)" not in identity.identity(config)
    for name in published.SOURCES["mnist"].files:
        (tmp_path / name.removesuffix(".gz")).write_bytes(name.encode())
    (tmp_path / "notes.txt").write_text("not of the data set")
    first = identity.identity(config)
    (tmp_path / "notes.txt").unlink()
    assert identity.identity(config) == first
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(b"changed")
    (differing,) = identity.differing_keys(first, identity.identity(config))
    assert differing.startswith("data.dir (sha256) (")


def test_initial_weights_belong_to_the_run_by_their_contents(tmp_path):
    """Digests are no settings."""
    (tmp_path / "w").write_bytes(b"weights")
    found = identity.identity(compose(f"model.initial_weights={tmp_path}/w"))
    (digest,) = (key for key in found if identity.is_digest(key))
    assert identity.digested(digest) == "model.initial_weights" and len(found[digest]) == 16
    assert identity.settings_of(found) == {key: value for key, value in found.items() if key != digest}


def test_settings_of_another_version():
    stored, now = {"a": 1, "gone": 2, "data.path (sha256)": "x"}, {"a": 1, "new": 3, "newer": 4}
    assert identity.schema_changes(stored, now) == (["new", "newer"], ["gone"])
    filled = identity.with_new_defaults(stored, now, {"a": 1, "new": 3, "newer": 5})
    assert filled == stored | {"new": 3}, "what is not at its default differs"

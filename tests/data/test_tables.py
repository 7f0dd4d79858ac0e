"""Tables as data sets: CSV, parquet, scikit-learn's bundled ones, OpenML's; labels that are words; standardization."""

import dataclasses
import urllib.error

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets

from wnexp.data import DATA_SETS
from wnexp.errors import UserError

FRAME = pd.DataFrame({"a": [1.0, 2, 3, 4], "b": [5, 6, 7, 9], "kind": ["yes", "no", "yes", "no"]})


def load(name, **settings):
    return dataclasses.replace(DATA_SETS[name], **settings).load()


def written(folder, frame, suffix):
    file = folder / f"d{suffix}"
    frame.to_csv(file, index=False) if suffix == ".csv" else frame.to_parquet(file)
    return str(file)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_are_read_by_the_column_of_their_labels(tmp_path, suffix):
    file = written(tmp_path, FRAME, suffix)
    data = load("file", path=file, target="kind")
    np.testing.assert_array_equal(data.train_x, FRAME[["a", "b"]])
    assert data.train_y.tolist() == [1, -1, 1, -1] and data.labels == {"no": -1, "yes": 1} and not len(data.test_y)
    numbers = written(tmp_path, FRAME.drop(columns="kind"), suffix)
    fitted = load("file", path=numbers, target="a", labels="real", test_path=numbers)
    assert fitted.train_y.tolist() == [1, 2, 3, 4] and fitted.test_x.tolist() == [[5], [6], [7], [9]]


@pytest.mark.parametrize(
    ("frame", "settings", "message"),
    [
        (FRAME, {}, "data.target=COLUMN is needed; it has a, b, kind"),
        (FRAME, {"target": "c"}, "data.target=c: no such column; it has a, b, kind"),
        (FRAME, {"target": "a"}, "kind hold no numbers; encode these columns or leave them out"),
        (FRAME.assign(b=[1, None, 2, 3]), {"target": "kind"}, "b lack values; fill them or leave these rows out"),
        (FRAME, {"target": "kind", "test_path": "none.csv"}, "data.test_path=none.csv: no such file"),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_that_cannot_be_meant(tmp_path, frame, settings, message, suffix):
    with pytest.raises(UserError, match=message):
        load("file", path=written(tmp_path, frame, suffix), **settings)


def test_the_columns_of_a_test_table_are_those_of_the_training_table_by_name(tmp_path):
    train = written(tmp_path, FRAME, ".csv")
    turned, other = tmp_path / "turned.parquet", tmp_path / "other.csv"
    FRAME[["kind", "b", "a"]].to_parquet(turned)
    FRAME.rename(columns={"b": "c"}).to_csv(other, index=False)
    data = load("file", path=train, target="kind", test_path=str(turned))
    np.testing.assert_array_equal(data.test_x, data.train_x)
    with pytest.raises(UserError, match="it has the inputs a, c; the training table has a, b"):
        load("file", path=train, target="kind", test_path=str(other))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,a,y\n1,2,0\n", "several columns are called a"),
        (",a,y\n0,2,0\n", r"a column has no name; an index is left out by to_csv\(index=False\)"),
        ("a,b,y\n", "it has the columns a, b, y, and no rows"),
    ],
)
def test_csv_files_that_would_be_misread(tmp_path, text, message):
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        load("file", path=str(tmp_path / "d.csv"), target="y")


def test_a_label_may_be_called_na(tmp_path):
    (tmp_path / "d.csv").write_text("a,y\n1,NA\n2,DE\n")
    assert load("file", path=str(tmp_path / "d.csv"), target="y").names == ("DE", "NA")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_files_that_are_no_tables(tmp_path, suffix):
    (tmp_path / f"d{suffix}").write_bytes(b'"\xff\x00')
    with pytest.raises(UserError, match=f"not a readable {suffix} file"):
        load("file", path=str(tmp_path / f"d{suffix}"), target="a")


def test_labels_that_are_words_in_an_npz_and_classes_of_them(tmp_path):
    words = np.array(["c", "a", "b", "a", "c"])
    x = np.arange(10.0).reshape(5, 2)
    np.savez(tmp_path / "d.npz", train_x=x, train_y=words, test_x=x[:1], test_y=["b"])
    data = load("file", path=str(tmp_path / "d.npz"))
    assert data.train_y.tolist() == [2, 0, 1, 0, 2] and data.test_y.tolist() == [1] and data.names == ("a", "b", "c")
    two = load("file", path=str(tmp_path / "d.npz"), classes=[2, 1])
    assert two.labels == {"c": -1, "b": 1} and two.train_y.tolist() == [-1, 1, -1] and two.test_y.tolist() == [1]
    np.savez(tmp_path / "e.npz", train_x=np.ones((2, 1)), train_y=["a", "b"], test_x=np.ones((1, 1)), test_y=["z"])
    with pytest.raises(UserError, match="no training sample has the label z of the test set"):
        load("file", path=str(tmp_path / "e.npz"))


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "diabetes"])
def test_bundled_data_sets_hold_every_sample_once(name):
    bunch = getattr(datasets, f"load_{name}")()
    data = load(name)
    both = np.concatenate([data.train_x, data.test_x])
    order = np.lexsort(both.T), np.lexsort(bunch["data"].T)
    np.testing.assert_array_equal(both[order[0]], bunch["data"][order[1]])
    assert len(data.test_x) == int(np.ceil(0.2 * len(both))) and data.real == (name == "diabetes")
    if not data.real:
        assert list(data.labels) == sorted(map(str, bunch["target_names"]))
        shares = [np.mean(data.train_y == label) - np.mean(data.test_y == label) for label in data.labels.values()]
        assert max(map(abs, shares)) < 0.05
        mapped = {tuple(x): y for x, y in zip(bunch["data"], bunch["target_names"][bunch["target"]], strict=True)}
        names = {label: word for word, label in data.labels.items()}
        assert all(names[y] == mapped[tuple(x)] for x, y in zip(data.train_x, data.train_y, strict=True))
    assert not len(load(name, test_share=0.0).test_x)


@pytest.mark.parametrize("name", ["iris", "digits"])
def test_standardized_inputs_have_mean_0_and_deviation_1_in_the_training_set(name):
    plain, data = load(name), load(name, standardize=True)
    varied = plain.train_x.std(axis=0) > 0
    np.testing.assert_allclose(data.train_x.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(data.train_x.std(axis=0), varied, atol=1e-12)
    one = np.flatnonzero(varied)[0]
    shift, scale = plain.train_x[:, one].mean(), plain.train_x[:, one].std()
    np.testing.assert_allclose(data.test_x[:, one], (plain.test_x[:, one] - shift) / scale, rtol=1e-12)


def test_openml_is_fetched_by_number_or_name(monkeypatch):
    asked = []

    def fetch(**options):
        asked.append(options)
        return bunch

    frame = datasets.load_iris(as_frame=True)
    bunch = type("Bunch", (), {"data": frame.data, "target": pd.Series(frame.target_names[frame.target], name="class")})
    monkeypatch.setattr(datasets, "fetch_openml", fetch)
    data = load("openml", dataset="61")
    assert asked[-1]["data_id"] == 61 and data.names == ("setosa", "versicolor", "virginica") and len(data.test_x) == 30
    load("openml", dataset="iris", version=2, target="class")
    assert (asked[-1]["name"], asked[-1]["version"], asked[-1]["target_column"]) == ("iris", 2, "class")


def test_openml_without_a_network_or_a_name(monkeypatch):
    def fetch(**options):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(datasets, "fetch_openml", fetch)
    with pytest.raises(UserError, match=r"openml.org cannot be reached.*Name or service not known"):
        load("openml", dataset="61")
    with pytest.raises(UserError, match=r"data=openml needs data\.dataset=NUMBER"):
        load("openml")


def test_the_labels_of_words_are_recorded_and_said(inside, tmp_path):
    code, out, err = inside("train", "data=iris", "data.standardize=true", "stop.max_steps=3")
    assert code == 0 and "note: labels: setosa is 0, versicolor is 1, virginica is 2\n" in out, err
    (file,) = tmp_path.rglob("run.json")
    assert '"labels": {\n  "setosa": 0,\n  "versicolor": 1,\n  "virginica": 2\n }' in file.read_text()

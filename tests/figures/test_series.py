"""What series of runs are called."""

from wnexp.figures.series import telling_apart


def test_labels_are_the_keys_that_differ_without_what_follows():
    base = {"norm.name": "none", "data.name": "xor", "optimizer.frac": 15, "model.widths": [8], "seed": 0, "seeds": 1}
    by_norm = [base, base | {"norm.name": "ewn", "optimizer.frac": 5, "seed": 3, "seeds": 4}]
    assert telling_apart(by_norm) == ["norm.name"]
    assert telling_apart([*by_norm, base | {"model.widths": [9]}]) == ["norm.name", "model.widths"]
    assert telling_apart([base, base | {"optimizer.frac": 3}]) == ["optimizer.frac"]
    assert telling_apart([base, base | {"norm.name": "ewn", "model.widths": [9]}]) == ["norm.name", "model.widths"]
    assert telling_apart([base, base | {"data.name": "lin_sep", "model.widths": [9]}]) == ["data.name"]
    files = [{"data.path": name, "data.path (sha256)": name * 2} for name in "ab"]
    assert telling_apart(files) == ["data.path"]

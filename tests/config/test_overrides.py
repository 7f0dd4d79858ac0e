"""The words of `wnexp train`: spellings that are mended, mistakes that are named before Hydra sees them."""

import pytest

from wnexp.config import UserError
from wnexp.overrides import UsageError, check, prepared


def test_words_as_hydra_takes_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("it's.npz", "a=b,c.npz", "plain.npz", "two\nlines", "d(1).npz"):
        (tmp_path / name).write_text("")
    assert prepared(["+norm=ewn", "seed=1", "-m"]) == ["-m", "norm=ewn", "seed=1"]
    assert prepared(["data.path=it's.npz"]) == ["data.path='it\\'s.npz'"]
    assert prepared(["data.path=a=b,c.npz"]) == ["data.path='a=b,c.npz'"]
    assert prepared(["data.path=two\nlines"]) == ["data.path='two\nlines'"]
    assert prepared(["data.path=d(1).npz"]) == ["data.path='d(1).npz'"]
    assert prepared(["data.path=plain.npz", "data.path=a,b"]) == ["data.path=plain.npz", "data.path=a,b"]
    for name in ("it's.npz", "a=b,c.npz", "two\nlines", "d(1).npz"):
        check(prepared([f"data.path={name}"]))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("stop=3", "stop=3: stop has the settings stop.log_loss, stop.max_steps"),
        ("model=[a]", r"model=\[a\] is no option; allowed: cnn, diagonal, mlp, vgg"),
        ("norm=null", "norm=null is no option; allowed: ewn, none, swn"),
        ("norm=3,ewn", "norm=3,ewn is no option"),
        ("data.name=digits", "data.name=digits: choose with data=digits"),
        ("~seed", "~seed: settings cannot be removed"),
        ("~norm", "~norm: settings cannot be removed"),
        ("~stop", "~stop: settings cannot be removed"),
        ("=3", "'=3' is no setting"),
    ],
)
def test_overrides_that_cannot_be_meant(word, message):
    with pytest.raises(UserError, match=message) as error:
        check([word])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "word", ["norm=none,ewn", "norm=glob(*)", "experiment=null", "stop={log_loss:-2}", "seed=range(3)"]
)
def test_overrides_that_are_fine(word):
    check(["-m", word])


@pytest.mark.parametrize("words", [["--foo"], ["seed=1", "--bar=3"], ["--cfg"]])
def test_unknown_options_are_one_line(words):
    with pytest.raises(UsageError) as error:
        check(words)
    assert "\n" not in str(error.value) and "wnexp train --help" in str(error.value)

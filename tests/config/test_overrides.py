"""The words of `wnexp train`: spellings that are mended, mistakes that are named before Hydra sees them."""

from pathlib import Path

import pytest

from tests.helpers import compose
from wnexp.config.compose import compose as composed
from wnexp.config.compose import typed
from wnexp.config.overrides import check, config_from, prepared, repeating
from wnexp.config.schema import flat
from wnexp.errors import UsageError, UserError
from wnexp.training.options import OPTIONS


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
        check(prepared([f"data.path={name}"]), OPTIONS)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("stop=3", "stop=3: stop has the settings stop.log_loss, stop.max_steps"),
        ("model=[a]", r"model=\[a\] is not an option; allowed: cnn, diagonal, mlp, vgg"),
        ("norm=null", "norm=null is not an option; allowed: ewn, none, power, swn"),
        ("norm=3,ewn", "norm=3,ewn is not an option"),
        ("data.name=digits", "data.name=digits: choose with data=digits"),
        ("~seed", "~seed: settings cannot be removed"),
        ("~norm", "~norm: settings cannot be removed"),
        ("~stop", "~stop: settings cannot be removed"),
        ("=3", "'=3' is not a setting"),
    ],
)
def test_overrides_that_cannot_be_meant(word, message):
    with pytest.raises(UserError, match=message) as error:
        check([word], OPTIONS)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "word", ["norm=none,ewn", "norm=glob(*)", "experiment=null", "stop={log_loss:-2}", "seed=range(3)"]
)
def test_overrides_that_are_fine(word):
    check(["-m", word], OPTIONS)


@pytest.mark.parametrize("words", [["--foo"], ["seed=1", "--bar=3"], ["--cfg"]])
def test_unknown_options_are_one_line(words):
    with pytest.raises(UsageError) as error:
        check(words, OPTIONS)
    assert "\n" not in str(error.value) and "wnexp train --help" in str(error.value)


def test_config_from_is_taken_out_of_the_words(tmp_path):
    assert config_from(["seed=1"]) == (["seed=1"], None)
    for words in (["--config-from", "a/b"], ["--config-from=a/b"]):
        assert config_from(["outputs=x", *words, "device=cpu"]) == (["outputs=x", "device=cpu"], Path("a/b"))
    assert config_from(["--config-from=a/seed=1,b=[2]"]) == ([], Path("a/seed=1,b=[2]"))
    with pytest.raises(UsageError, match="--config-from needs a run directory"):
        config_from(["outputs=x", "--config-from"])
    for word in ("-m", "--cfg", "experiment=xor", "seed"):
        with pytest.raises(UserError, match=f"{word}: --config-from repeats one run; beside it: outputs, overwrite"):
            config_from(["--config-from", "a", word])


def test_a_copy_has_the_changes_and_a_name_of_its_own(tmp_path):
    """Of a group chosen anew what was set and the new option has as well is kept, the others are its defaults."""
    run = tmp_path / "xor" / "norm=power,norm.power=3,seeds=2"
    before = ("norm=power", "norm.power=3.0", "norm.layers=hidden", "seeds=2", "stop.max_steps=7")
    for words, after in (
        (["norm=swn", "model.widths=[5]"], ["norm=swn", "norm.layers=hidden"]),
        (["optimizer=adam", "model.widths=[5]", "seeds=3"], [*before[:3], "optimizer=adam", "seeds=3"]),
        (["+norm=power", "norm.power=2.0", "model.widths=[5]"], ["norm=power", "norm.power=2.0", "norm.layers=hidden"]),
    ):
        again = composed(prepared([*repeating(flat(compose(*before)), run, OPTIONS, words), *words]), OPTIONS)
        assert typed(again.content, OPTIONS) == compose("seeds=2", "stop.max_steps=7", "model.widths=[5]", *after)
        name = again.hydra.run.dir.split("/")[-1].split(",")
        assert "model.widths=5" in name and f"norm={'swn' if 'norm=swn' in words else 'power'}" in name
        assert ("seeds=3" in name) == ("seeds=3" in words) and ("seeds=2" in name) == ("seeds=3" not in words)


@pytest.mark.parametrize(
    "words",
    [
        ["norm=ewn", "norm.output_v=raw", "optimizer=sgd", "optimizer.step_size_cap=null", "seeds=3"],
        ["experiment=xor", "norm=swn", "optimizer=flow", "snapshots=[-3,-1e3]"],
        ["experiment=simple_traj", "record.every=7", "stop.log_loss=-1e5"],
        ["model=cnn", "data=digits", "model.channels=[4,M]", "data.train_samples=50"],
        ["data=file", "data.path='it\\'s=d,c.npz'"],
    ],
    ids=["sgd", "flow", "diagonal", "cnn", "file"],
)
def test_the_words_that_repeat_a_run_compose_its_settings(tmp_path, words):
    config = compose(*words)
    run = tmp_path / "lin_sep" / "a=[1],b"
    repeated = prepared(repeating(flat(config), run, OPTIONS))
    check(repeated, OPTIONS)
    again = composed(repeated, OPTIONS)
    assert typed(again.content, OPTIONS) == config
    assert again.hydra.run.dir == f"outputs/{run.parent.name}/{run.name}"


def test_the_name_of_a_copy_says_how_far_the_run_was_trained_since(tmp_path):
    run = tmp_path / "xor" / "norm=ewn,stop.max_steps=50"
    words = repeating(flat(compose("norm=ewn", "stop.max_steps=60")), run, OPTIONS, ["norm=swn"])
    assert composed(prepared([*words, "norm=swn"]), OPTIONS).hydra.run.dir.endswith("/xor/norm=swn,stop.max_steps=60")


def test_a_run_with_settings_that_are_gone_is_not_repeated(tmp_path):
    with pytest.raises(UserError, match=r"unknown here: norm.radius, optimizer.momentum"):
        repeating(flat(compose()) | {"optimizer.momentum": 1, "norm.radius": 2}, tmp_path, OPTIONS)


@pytest.mark.parametrize(
    "value",
    ["~/nowhere/d.npz", "é.npz", "daten/größe-1.npz", "w_{seed}.safetensors", "~/w{seed}é.st"],
)
def test_paths_need_no_quotes_whatever_letters_they_have(value):
    """Whether they exist or not: a file that is not there is the loader's to name."""
    config = compose("data=file", *prepared([f"data.path={value}"]))
    assert config.data.path == value


def test_what_is_no_path_is_left_to_hydra():
    words = ["seed=1,2", "model.widths=[8,8]", "snapshots={a}", "model.init='x'", "a=${seed}", "norm=ewn"]
    assert prepared(words) == words


def test_a_run_is_trained_further_where_it_is(tmp_path):
    """With its device; a place that is named has the word."""
    run, settings = tmp_path / "lin_sep" / "a=[1],b", flat(compose("device=cpu", "stop.max_steps=7"))
    beside = ["stop.log_loss=-1e3", "snapshots=[-3]"]
    words, found = config_from(["--config-from", str(run), *beside])
    assert words == beside and found == run
    again = composed(prepared([*repeating(settings, run, OPTIONS, beside), *beside]), OPTIONS)
    assert again.hydra.run.dir == str(run)
    assert typed(again.content, OPTIONS) == compose("device=cpu", "stop.max_steps=7", *beside)
    for place in ("outputs=o", "hydra.run.dir=o"):
        elsewhere = [*beside, place]
        again = composed(prepared([*repeating(settings, run, OPTIONS, elsewhere), *elsewhere]), OPTIONS)
        assert again.hydra.run.dir in ("o", f"o/{run.parent.name}/{run.name}")

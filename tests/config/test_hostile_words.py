"""Option files of others and paths of any name: read as data, or refused with a line."""

import resource

import numpy as np
import pytest

LEVELS = 12
BOMB = "x0: &x0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
    f"x{level}: &x{level} [{', '.join([f'*x{level - 1}'] * 9)}]\n" for level in range(1, LEVELS)
)


@pytest.mark.parametrize(
    "content",
    [
        "name: mlp\nwidths: !!python/object/apply:os.mkdir [owned]\n",
        "name: mlp\nwidths: !!python/object/new:os.mkdir [owned]\n",
        "!!python/object/apply:os.system ['mkdir owned']\n",
        "name: mlp\nwidths: !!python/name:os.mkdir\n",
        f"name: mlp\n{BOMB}widths: *x{LEVELS - 1}\n",
        "&a [*a]\n",
        "name: mlp\nwidths: &a [1, *a]\n",
        "name: mlp\nwidths: " + "[" * 5000 + "\n",
        "name: mlp\nwidths: [1\n",
        "name: mlp\nwidths: ${oc.env:HOME}\n",
        "\x00\xff",
    ],
    ids=["apply", "new", "system", "name", "bomb", "itself", "within", "deep", "open", "env", "binary"],
)
def test_yaml(inside, tmp_path, content):
    folder = tmp_path / "mine" / "model"
    folder.mkdir(parents=True)
    (folder / "theirs.yaml").write_bytes(content.encode("latin-1"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for words in (["--config-dir", "mine"], [f"hydra.searchpath=[file://{tmp_path}/mine]"]):
        code, _, err = inside("train", *words, "model=theirs", "stop.max_steps=1")
        assert code == 1 and 1 <= len(err.splitlines()) <= 2 and "Traceback" not in err
    assert not (tmp_path / "owned").exists() and not list(tmp_path.rglob("run.json"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


@pytest.mark.parametrize("name", ["two words", "a=b", 'it\'s "x"', "a\nb", "..", "[x],{y}", "*", "x\\"])
def test_paths(inside, tmp_path, name):
    """Data of any name are found, and no folder of runs is made elsewhere than asked for."""
    folder = tmp_path / "here" / name
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "d.npz", train_x=[[2.0, 1.0]], train_y=[1])
    words = ("train", "data=file", "model.widths=[]", "stop.max_steps=1", f"data.path=here/{name}/d.npz")
    code, _, err = inside(*words, f"outputs=here/{name}")
    assert code == 0 and not err, err
    (run,) = tmp_path.rglob("run.json")
    assert run.resolve().is_relative_to(folder.resolve())
    code, _, err = inside(*words, "outputs=new/'\n")
    assert code == 1 and "outputs=new/" in err and "Traceback" not in err and not (tmp_path / "new").exists()

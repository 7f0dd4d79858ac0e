"""What of JAX's surroundings is kept within bounds, and put back."""

import os

import jax

from wnexp import resources
from wnexp.training import environment


def test_programs_that_were_not_used_for_longest_go_first(tmp_path):
    for age in range(5):
        (tmp_path / f"program{age}").write_bytes(bytes(100))
        os.utime(tmp_path / f"program{age}", (1000 - age, 1000 - age))
    environment.drop_unused(tmp_path, 500)
    assert len(list(tmp_path.iterdir())) == 5
    environment.drop_unused(tmp_path, 250)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["program0", "program1"]
    environment.drop_unused(tmp_path / "nowhere", 0)


def test_the_folder_of_programs_is_bounded_before_it_is_used(tmp_path, monkeypatch):
    """And JAX's settings are put back, of which the folder is one."""
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setattr(resources, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(environment, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(environment, "_MOST_BYTES", 150)
    (tmp_path / "jax").mkdir()
    for age in range(3):
        (tmp_path / "jax" / f"program{age}").write_bytes(bytes(100))
    before = jax.config.values["jax_compilation_cache_dir"]
    with environment.restored():
        environment.pin()
        assert jax.config.values["jax_compilation_cache_dir"] == str(tmp_path / "jax")
    assert jax.config.values["jax_compilation_cache_dir"] == before and len(list((tmp_path / "jax").iterdir())) == 1

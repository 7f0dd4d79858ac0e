"""Hydra's errors in one or two lines; what is no error of Hydra's is not explained here."""

import pytest
from hydra.errors import HydraException
from yaml import YAMLError

from tests.helpers import compose
from wnexp.config import compose as composing
from wnexp.config.hydra_errors import explain_hydra
from wnexp.errors import UserError
from wnexp.training.options import OPTIONS


def test_users_mistakes_are_explained_and_our_faults_are_not():
    assert explain_hydra(HydraException("one\n\n two \nthree"), OPTIONS) == "one\ntwo"
    assert explain_hydra(YAMLError("one\n  two"), OPTIONS) == "one two"
    assert explain_hydra(ValueError("a bug"), OPTIONS) is None and explain_hydra(RuntimeError("x"), OPTIONS) is None
    lacking = explain_hydra(RuntimeError('Could not detect "srun", are you indeed on a slurm cluster?'), OPTIONS)
    assert (
        lacking == "hydra/launcher=submitit_slurm: no Slurm here, its srun is not found; allowed here: submitit_local"
    )


def test_a_default_that_depends_on_a_choice_and_lacks_it_names_the_others():
    with pytest.raises(UserError, match="the default has a value for none, swn, none for own; give one"):
        composing._by("own", {"none": 15, "swn": 5})


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("norm=ewm", ["norm=ewm is unknown; allowed: ewn, ", "none", "swn", "(did you mean ewn?)"]),
        ("seed", ["'seed' is not a setting; GROUP=OPTION or KEY=VALUE is expected"]),
        ("seed=1,2", ["seed=1,2 has several values; `wnexp train -m ...` runs one job for each"]),
        ("nrom=ewn", ["unknown key 'nrom'; did you mean norm"]),
        ("model.widths=[8", ["model.widths=[8 cannot be read ("]),
        ("model.widths={a:1}", ["model.widths={a:1} is not possible; allowed: a list of integers of at least 1"]),
        ("stop.log_loss=${foo}", ["stop.log_loss: ${foo} refers to a setting that does not exist"]),
        (
            "optimizer.batch_size=4",
            ["optimizer.batch_size is not a setting of the opti", ", but of optimizer=sgd,sgd_clipped"],
        ),
    ],
)
def test_what_hydra_raises_names_what_came_and_what_is_allowed(word, parts):
    """Of the Hydra that is installed."""
    with pytest.raises(UserError) as error:
        compose(word)
    explained = str(error.value)
    assert explained.startswith(parts[0]) and len(explained.splitlines()) <= 2
    assert all(part in explained for part in parts)

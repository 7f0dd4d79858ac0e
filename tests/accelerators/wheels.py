"""The wheels with JAX's compilers for TPUs and NVIDIA's GPUs, in the versions that the installed JAX asks for.

python -m tests.accelerators.wheels     # one requirement a line, for pip install --no-deps --target FOLDER

Only the compilers: neither CUDA's libraries nor a driver. They stay out of the environment itself, where JAX would try
to start a GPU and a TPU in every run.
"""

import re
from importlib.metadata import requires

_WANTED = {"libtpu": "tpu", "jax-cuda12-plugin": "cuda12-local"}  # the extra of jax that names it


def requirements() -> list[str]:
    """What to install, `name==version` or bounds."""
    found = []
    for line in requires("jax") or []:
        requirement, _, marker = line.partition(";")
        name = re.split(r"[^\w-]", requirement)[0]
        if _WANTED.get(name) == "".join(re.findall(r'extra == "([^"]+)"', marker)):
            found.append(requirement.strip())
    # The plugin asks for exactly its own version of what it is a plugin of; so do its bounds.
    return found + [line.replace("plugin", "pjrt") for line in found if "plugin" in line]


if __name__ == "__main__":
    print("\n".join(requirements()))

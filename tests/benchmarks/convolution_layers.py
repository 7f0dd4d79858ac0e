"""Where an epoch of convolutions goes: CPU seconds of single layers of the VGG, forward and backward, batches of 128.

python tests/benchmarks/convolution_layers.py

One line a layer: PyTorch (oneDNN, channels last), wnexp by columns and by rows, CPU milliseconds (least of four).
"""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from wnexp.nn.network import convolve_by_columns, convolve_by_rows

BATCH = 128
LAYERS = ((32, 64, 64), (16, 64, 128), (16, 128, 128), (8, 256, 256), (4, 512, 512), (2, 512, 512))


def least(run: Callable[[], object]) -> float:
    """CPU milliseconds of a call, the least of four after one."""
    run()
    seconds = []
    for _ in range(4):
        began = time.process_time()
        run()
        seconds.append(time.process_time() - began)
    return 1000 * min(seconds)


def main() -> None:
    rng = np.random.default_rng(0)
    for size, fan_in, neurons in LAYERS:
        x = rng.standard_normal((BATCH, size, size, fan_in), dtype=np.float32)
        w = rng.standard_normal((3, 3, fan_in, neurons), dtype=np.float32) * np.float32(0.01)
        tx, tw = torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(w).permute(3, 2, 0, 1)
        pair = tx.requires_grad_(), tw.contiguous(memory_format=torch.channels_last).requires_grad_()
        figures = [least(lambda p=pair: torch.autograd.grad(F.relu(F.conv2d(*p, padding=1)).sum(), p))]
        for way in (convolve_by_columns, convolve_by_rows):
            slopes = jax.jit(jax.grad(lambda w, x, way=way: jax.nn.relu(way(w, x)).sum(), argnums=(0, 1)))
            arrays = jnp.asarray(w), jnp.asarray(x)
            figures.append(least(lambda f=slopes, a=arrays: jax.block_until_ready(f(*a))))
        names = ("PyTorch", "columns", "rows")
        shown = "  ".join(f"{name} {figure:.0f}" for name, figure in zip(names, figures, strict=True))
        print(f"{size} x {size}, {fan_in} -> {neurons}: {shown} ms of CPU", flush=True)


if __name__ == "__main__":
    main()

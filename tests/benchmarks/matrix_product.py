"""A float32 product of two matrices, the ceiling of any training on this machine.

python tests/benchmarks/matrix_product.py torch|jax [--shape 2048 2048 2048] [--transposed] [--products 10]

The shape is `(rows, inner)` times `(inner, columns)`; the first matrix may lie transposed in memory, as the inputs do
for the gradient of a layer's weights. Prints one JSON line with the GFLOP/s of the median product.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable

import numpy as np


def product_of(library: str, shape: tuple[int, int, int], transposed: bool) -> Callable[[], object]:
    """The product as a function that returns when it is done."""
    rows, inner, columns = shape
    rng = np.random.default_rng(0)
    a = rng.standard_normal((inner, rows) if transposed else (rows, inner), dtype=np.float32)
    b = rng.standard_normal((inner, columns), dtype=np.float32)
    if library == "torch":
        import torch

        x, y, out = torch.from_numpy(a), torch.from_numpy(b), torch.empty(rows, columns)
        return lambda: torch.mm(x.T if transposed else x, y, out=out)
    import jax

    x, y = jax.device_put((a, b))
    multiply = jax.jit(lambda x, y: jax.numpy.matmul(x.T if transposed else x, y, precision="highest"))
    return lambda: multiply(x, y).block_until_ready()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", choices=("torch", "jax"))
    parser.add_argument("--shape", type=int, nargs=3, default=(2048, 2048, 2048), metavar=("ROWS", "INNER", "COLUMNS"))
    parser.add_argument("--transposed", action="store_true")
    parser.add_argument("--products", type=int, default=10)
    options = parser.parse_args()
    multiply = product_of(options.library, options.shape, options.transposed)
    multiply()
    seconds = []
    for _ in range(options.products):
        began = time.perf_counter()
        multiply()
        seconds.append(time.perf_counter() - began)
    gflops = 2 * math.prod(options.shape) / statistics.median(seconds) / 1e9
    print(json.dumps(vars(options) | {"gflops": gflops}))


if __name__ == "__main__":
    main()

"""The float32 product of two square matrices, the ceiling of any training on this machine.

python tests/benchmarks/matrix_product.py torch|jax [--size 2048] [--products 10]

Prints one JSON line with the GFLOP/s of the median product.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np


def product_of(library: str, size: int) -> Callable[[], object]:
    """The product as a function that returns when it is done."""
    a, b = np.random.default_rng(0).standard_normal((2, size, size), dtype=np.float32)
    if library == "torch":
        import torch

        x, y = torch.from_numpy(a), torch.from_numpy(b)
        return lambda: x @ y
    import jax

    x, y = jax.device_put((a, b))
    multiply = jax.jit(lambda x, y: jax.numpy.matmul(x, y, precision="highest"))
    return lambda: multiply(x, y).block_until_ready()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", choices=("torch", "jax"))
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--products", type=int, default=10)
    options = parser.parse_args()
    multiply = product_of(options.library, options.size)
    multiply()
    seconds = []
    for _ in range(options.products):
        began = time.perf_counter()
        multiply()
        seconds.append(time.perf_counter() - began)
    print(json.dumps(vars(options) | {"gflops": 2 * options.size**3 / statistics.median(seconds) / 1e9}))


if __name__ == "__main__":
    main()

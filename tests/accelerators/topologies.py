"""Devices that are not here, for XLA's compilers alone: nothing can be computed on them."""

import importlib.util
import os
from functools import cache
from typing import Any

from jax.experimental import topologies

# Read when libtpu starts: no question to the cloud's server for metadata, one chip, and no lock, since no chip is held.
_TPU = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
# An H100 (SXM, 80 GB), as XLA's GpuTargetConfigProto describes a card.
_H100 = """
gpu_device_info {
  cuda_compute_capability { major: 9 }
  core_count: 132
  fpus_per_core: 128
  clock_rate_ghz: 1.98
  device_memory_size: 85045477376
  memory_bandwidth: 3352320000000
  l2_cache_size: 52428800
  threads_per_warp: 32
  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  shared_memory_per_core: 233472
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 8 }
runtime_version { major: 12 minor: 8 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
MEMORY = {"gpu": 85_045_477_376, "tpu": 16 * 2**30}  # bytes of an H100 and of a v5e chip
PLATFORMS = {"gpu": "H100", "tpu": "v5e"}
_MODULES = {"gpu": "jax_cuda12_plugin", "tpu": "libtpu"}


def missing() -> str:
    """Which compilers are not on the path and how to get them; empty where both are."""
    absent = [name for name in _MODULES.values() if importlib.util.find_spec(name) is None]
    return f"{' and '.join(absent)} not on the path: make accelerators" if absent else ""


@cache
def device(platform: str) -> Any:
    """One chip of that kind, `gpu` or `tpu`."""
    if platform == "gpu":
        found = topologies.get_topology_desc("h100", platform="cuda", target_config=_H100, topology="1x1x1")
    else:
        os.environ.update(_TPU)
        found = topologies.get_topology_desc("v5e:2x2", platform="tpu")
    return found.devices[0]

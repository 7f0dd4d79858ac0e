"""Damaged and published files, and a process that dies at any operation on the disk."""

import os
import pickle
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np


def mutants(content: bytes, count: int, random: np.random.Generator) -> Iterator[bytes]:
    """Copies with a few bits flipped, bytes overwritten, a piece cut out, doubled, or the end missing."""
    for _ in range(count):
        data = bytearray(content)
        for _ in range(int(random.integers(1, 4))):
            start, end = sorted(random.integers(0, len(data) + 1, 2).tolist())
            end = min(end, start + 64)
            match int(random.integers(5)):
                case 0 if data:
                    data[min(start, len(data) - 1)] ^= 1 << int(random.integers(8))
                case 1:
                    data[start:end] = random.bytes(end - start)
                case 2:
                    del data[start:end]
                case 3:
                    data[start:start] = data[start:end]
                case 4 if random.integers(4) == 0:
                    del data[start:]
                case _:
                    data[start:end] = bytes([int(random.choice([0, 1, 0x7F, 0xFF]))]) * (end - start)
        yield bytes(data)


def idx(array: np.ndarray) -> bytes:
    """An array of bytes as MNIST publishes it."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def cifar_batch(size=4, seed=0, protocol=2, **changes) -> bytes:
    """Random images as CIFAR-10 publishes a batch; `changes` replace entries."""
    rng = np.random.default_rng(seed)
    batch = {
        b"batch_label": b"training batch",
        b"labels": [int(label) for label in np.arange(size) % 10],
        b"data": rng.integers(0, 256, (size, 3072)).astype(np.uint8),
        b"filenames": [b"a.png"] * size,
    }
    return pickle.dumps(batch | {key.encode(): value for key, value in changes.items()}, protocol=protocol)


KILLS = int(os.environ.get("WNEXP_TEST_KILLS", "6"))  # of each kind of run


class Killed(BaseException):
    """Stands for the end of the process: nothing after it reaches the disk."""


class Mortal:
    """Dies at the n-th operation on the disk, and is dead to every later one until it is revived."""

    def __init__(self, monkeypatch):
        self.left, self.kills = None, 0
        self._wrap(monkeypatch, os, "fsync", self._half_written)
        self._wrap(monkeypatch, os, "link", None)
        self._wrap(monkeypatch, Path, "replace", None)
        self._wrap(monkeypatch, Path, "unlink", None)

    def _wrap(self, monkeypatch, owner, name, damage):
        real = getattr(owner, name)

        def mortal(*arguments, **options):
            if self.left is not None:
                self.left -= 1
                if self.left == 0 and damage:
                    damage(*arguments)
                if self.left <= 0:
                    raise Killed
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, mortal)

    @staticmethod
    def _half_written(descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        os.truncate(path, path.stat().st_size // 2)

    def lives(self, command, operations):
        """Whether the command ended by itself within so many operations."""
        self.left = operations
        try:
            assert command()[0] == 0
            return True
        except Killed:
            self.kills += 1
            return False
        finally:
            self.left = None

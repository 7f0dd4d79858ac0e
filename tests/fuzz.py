"""Mutated files for the fuzz tests of the readers."""

from collections.abc import Iterator

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

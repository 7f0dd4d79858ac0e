"""All that is to be measured on an accelerator, in one go of at most nine minutes: `wnexp` on a card against its CPU.

python tests/benchmarks/accelerator.py [--device gpu] [--mnist FOLDER] [--table FILE] [--quick]

Every part is a process of its own with a time limit, and writes a row as soon as there is one; FILE (accelerator.md) is
written anew after every part, so that nothing is lost by what is cut off or fails. FOLDER holds MNIST's files; without
them images of its size are made, ten noisy prototypes. `--quick --device cpu` runs every part in small.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import accelerator_parts as parts
from harness import interval, machine

# Name -> the seconds it may take. All of them together: less than nine minutes.
LIMITS = {"card": 20, "crossover": 140, "attempts": 25, "graphs": 35, "mnist": 190, "vgg": 60, "torch_vgg": 60}
HEADER = "| part | what | measured |\n| --- | --- | ---: |\n"


def run(name: str, words: list[str], limit: float) -> tuple[list[dict[str, Any]], str]:
    """The rows of a part in a process of its own, and what became of it: nothing, or why there are no more."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        command = [sys.executable, __file__, "--part", name, *words]
        try:
            code = subprocess.run(command, stdout=output, stderr=errors, timeout=limit, check=False).returncode
            errors.seek(0)
            last = errors.read().strip().splitlines()[-1:]
            end = f"failed: {last[0] if last else f'exit code {code}'}" if code else ""
        except subprocess.TimeoutExpired:
            end = f"cut off after {limit:.0f} s"
        output.seek(0)
        return list(_rows(output.read())), end


def _rows(text: str) -> Iterator[dict[str, Any]]:
    """The lines that are whole rows; the last one may have been cut."""
    for line in text.splitlines():
        if line.startswith('{"what"') and line.endswith("}"):
            yield json.loads(line)


def table(found: dict[str, tuple[list[dict[str, Any]], str]]) -> str:
    """What was measured, as Markdown."""
    lines = []
    for name, (rows, end) in found.items():
        lines += [f"| {name} | {row['what']} | {interval(row['samples'], row['unit'])} |" for row in rows]
        lines += [f"| {name} | {end.replace('|', '/')} | |"] if end else []
    return HEADER + "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="gpu", choices=("gpu", "tpu", "cpu"))
    parser.add_argument("--mnist", type=Path)
    parser.add_argument("--table", type=Path, default=Path("accelerator.md"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--part", choices=LIMITS, help="this part alone, its rows as JSON")
    options = parser.parse_args()
    if options.part:
        for what, samples, unit in getattr(parts, options.part)(options):
            print(json.dumps({"what": what, "samples": samples, "unit": unit}), flush=True)
        return 0
    words = ["--device", options.device, *(["--quick"] if options.quick else [])]
    words += ["--mnist", str(options.mnist)] if options.mnist else []
    found, began = {}, time.perf_counter()
    for name, limit in LIMITS.items():
        found[name] = run(name, words, limit)
        options.table.write_text(f"{machine()}; `{' '.join(['accelerator.py', *words])}`.\n\n{table(found)}")
        print(f"{name}: {time.perf_counter() - began:.0f} s {found[name][1]}", flush=True)
    return 1 if any(end.startswith("failed") for _, end in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

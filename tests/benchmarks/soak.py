"""A sweep of 500 tiny runs in one process: memory, open files and seconds a job must not grow.

python tests/benchmarks/soak.py [JOBS]
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def main(jobs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", "-m", f"seed=range({jobs})", "norm=ewn", "stop.log_loss=-20", "data=lin_sep"]
        with Path(folder, "log").open("w") as log:
            process = subprocess.Popen([sys.executable, "-m", "wnexp", *words], cwd=folder, stdout=log, stderr=log)
            samples = []
            while process.poll() is None:
                time.sleep(0.5)
                samples.append((_finished(folder), *_usage(process.pid)))
        done, megabytes, files = np.array([sample for sample in samples if sample[1] > 0 and sample[0] > jobs / 10]).T
        stamps = np.sort([path.stat().st_mtime for path in Path(folder).rglob("run.json")])
        seconds = np.diff(stamps)
        tenth = len(seconds) // 10
        growth = 1000 * np.polyfit(done, megabytes, 1)[0]
        print(f"{len(stamps)} of {jobs} jobs, exit code {process.returncode}, {stamps[-1] - stamps[0]:.0f} s")
        print(f"memory {megabytes[0]:.0f} -> {megabytes[-1]:.0f} MB, {growth:.0f} kB a job after the first tenth")
        print(f"open files {files.min():.0f} to {files.max():.0f}")
        first, last = np.median(seconds[tenth : 2 * tenth]), np.median(seconds[-tenth:])
        print(f"median seconds a job: {first:.3f} in the second tenth, {last:.3f} in the last")


def _finished(folder: str) -> int:
    return sum(1 for _ in Path(folder).rglob("run.json"))


def _usage(pid: int) -> tuple[float, int]:
    """Resident megabytes and open files of a process; zeros when it has gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        resident = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
        return resident / 1024, len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except (OSError, StopIteration):
        return 0.0, 0


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)

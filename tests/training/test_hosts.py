"""Processes that train one run together: the numbers of one process, one directory, one end for all."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

import pandas as pd
import pytest

from tests.helpers import EPOCHS, SAYS_WHO_SHARES

pytestmark = pytest.mark.slow  # every case is processes of its own

FULL = ("data=gaussian", "data.train_per_class=24", "norm=swn", "seeds=3", "optimizer=adam", "snapshots=[-1]")


def command(*words):
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # in the background too
    return [sys.executable, "-c", heard + SAYS_WHO_SHARES, "train", *words]


def addressed():
    """How a process is told of the others by hand."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": str(n)}
        for n in (0, 1)
    ]


def by_slurm():
    """The same by the variables that srun sets; JAX makes the port of the job's number."""
    for job in range(1000, 1100):
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", job % 2**12 + 65536 - 2**12))
            break
    of_job = {
        "SLURM_JOB_ID": str(job),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_STEP_NUM_NODES": "1",
        "SLURM_NTASKS": "2",
    }
    return [of_job | {"SLURM_PROCID": str(n), "SLURM_LOCALID": str(n)} for n in (0, 1)]


def two(folder, *words, told=addressed):
    """The two processes, the first one first."""
    started = []
    for own in told():
        started.append(
            subprocess.Popen(
                command(*words, "distributed=true"),
                cwd=folder,
                env=os.environ | own,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return started


def one(folder, *words):
    done = subprocess.run(command(*words), cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ends(processes):
    """Exit code, output and errors of each."""
    said = [process.communicate(timeout=300) for process in processes]
    return [(process.returncode, *texts) for process, texts in zip(processes, said, strict=True)]


def table(folder, name="steps"):
    (file,) = folder.rglob(f"{name}.parquet")
    return pd.read_parquet(file)


@pytest.mark.parametrize(
    ("words", "steps", "told"),
    [((*EPOCHS, "norm=ewn"), 6, addressed), (FULL, 60, by_slurm)],
    ids=["epochs", "seeds_by_slurm"],
)
def test_two_processes_give_the_numbers_of_one(tmp_path, words, steps, told):
    """Up to the order of sums, into one directory; one of them alone speaks."""
    words = (*words, f"stop.max_steps={steps}")
    (first, said, failed), (second, repeated, failed_too) = ends(two(tmp_path, *words, "outputs=two", told=told))
    assert (first, second) == (0, 0), failed + failed_too
    assert "shared by 2 sums" in said and "shared by 2 sums" in repeated
    assert "wnexp plot" in said and "wnexp plot" not in repeated
    one(tmp_path, *words, "outputs=one")
    for name in ("steps", "neurons"):
        found, expected = table(tmp_path / "two", name), table(tmp_path / "one", name)
        assert len(found) > 3
        pd.testing.assert_frame_equal(found, expected, rtol=1e-6, atol=1e-9)
    names = [sorted(file.name for file in (tmp_path / made).rglob("*.safetensors")) for made in ("one", "two")]
    assert names[0] == names[1] != []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_and_one_process_goes_on(tmp_path, number):
    """The first process hears it alone, as where a user sends it to one; the run goes on without the others."""
    words = (*EPOCHS, "norm=ewn", "stop.max_steps=300", "stop.log_loss=-1e9", "outputs=made")
    processes = two(tmp_path, *words)
    deadline = time.monotonic() + 200
    while not list(tmp_path.rglob("checkpoint.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(2)
    processes[0].send_signal(number)
    for code, _, said in ends(processes):
        assert code == 128 + number and "the same command resumes" in said
    before = table(tmp_path)
    assert 1 < len(before) < 300
    one(tmp_path, *words)
    kept = table(tmp_path)[: len(before)]
    pd.testing.assert_frame_equal(kept.drop(columns="limit_cosine"), before.drop(columns="limit_cosine"))
    assert table(tmp_path)["step"].max() == 300


def test_a_process_that_is_killed_is_said_to_be_gone(tmp_path):
    processes = two(tmp_path, *EPOCHS, "norm=ewn", "stop.max_steps=100000", "stop.log_loss=-1e9", "outputs=made")
    deadline = time.monotonic() + 200
    while not list(tmp_path.rglob("checkpoint.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.2)
    processes[1].kill()
    (code, _, said), _ = ends(processes)
    assert code != 0 and "the same command goes on from the last checkpoint" in said and "Traceback" not in said


def test_alone_it_says_how_to_start_the_others(tmp_path):
    done = subprocess.run(command("distributed=true"), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "srun" in done.stderr and "JAX_COORDINATOR_ADDRESS" in done.stderr
    assert len(done.stderr.splitlines()) == 2 and not list(tmp_path.rglob("run.json"))

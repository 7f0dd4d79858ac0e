"""`wnexp export`: weights of a run for PyTorch."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

NAME, HELP = "export", "weights of a run for PyTorch"
DESCRIPTION = """\
Write a snapshot of a run as the state of an nn.Sequential and print the Python that makes it. A FILE.safetensors needs
no PyTorch here. The way back is model.initial_weights=FILE.pt, or .safetensors, of any such module, weight-normalized
ones included."""


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("path", type=Path, metavar="RUN", help="a run directory")
    parser.add_argument("--torch", action="store_true", help="for PyTorch, the one format there is")
    parser.add_argument("--seed", type=int, metavar="N", help="of that seed (the first one)")
    parser.add_argument("--at", default="final", metavar="NAME", help="initial, final, or a log loss (final)")
    parser.add_argument("--to", type=Path, metavar="FILE", help="FILE.pt or .safetensors (beside the snapshot)")


def run(arguments: Namespace) -> int:
    """Write the file, and print how to read it."""
    from contextlib import suppress

    from wnexp.errors import UserError
    from wnexp.exporting import export
    from wnexp.runs import reader, snapshots
    from wnexp.runs.files import shown

    runs = reader.load([arguments.path])
    if len(runs) > 1:
        raise UserError(f"{arguments.path} holds {len(runs)} runs; export takes one")
    name = arguments.at
    with suppress(ValueError):
        name = snapshots.at(float(name))
    seed = runs[0].seeds[0] if arguments.seed is None and runs[0].seeds else arguments.seed or 0
    file, module = export(runs[0], seed, name, arguments.to)
    load = "safetensors.torch.load_file" if file.suffix == ".safetensors" else "torch.load"
    print(f"saved {shown(file)}; in Python:\n{module}\nnet.load_state_dict({load}({str(file)!r}))")
    return 0

"""wnexp against PyTorch loops and other libraries, and wnexp alone: the driver of `make bench`.

python tests/benchmarks/bench.py [NAME ...] [--repeats 3] [--quick]

NAME is a row of `ROWS` below; none: all of them. The sides of a comparison run in turns, one process at a time, each
in its own process. In the end come the tables, to be kept in `RESULTS.md` beside this file under the machine's name;
`--quick` does one short turn of everything. Exit code 1 if another side did not do what wnexp does.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import alone
import pairs
import peers
import rules
from harness import Bench, Row, losses, machine, table

CONV_RATE = ("-m", "+experiment=conv_rate", "+norm=none", "model.depth=1,2,3,4")
# Name -> its rows of the table.
ROWS: dict[str, Callable[[Bench], list[Row]]] = {
    "lin_sep_ewn": pairs.small("lin_sep_ewn", "lin-sep, EWN", "+experiment=lin_sep", "+norm=ewn"),
    "lin_sep_swn": pairs.small("lin_sep_swn", "lin-sep, SWN", "+experiment=lin_sep", "+norm=swn"),
    "xor_ewn": pairs.small("xor_ewn", "XOR, EWN", "+experiment=xor", "+norm=ewn"),
    "conv_rate": pairs.small("conv_rate", "conv-rate, none, depth 1 to 4", *CONV_RATE),
    "epoch_ewn": pairs.epoch("ewn"),
    "epoch_none": pairs.epoch("none"),
    "epoch_compiled": peers.compiled_epoch,
    **{f"{net}_{norm}": peers.convolution(net, norm) for net in ("digits_cnn", "vgg") for norm in ("none", "ewn")},
    **{f"margins_{name}": peers.margins(name) for name in peers.LINEAR},
    **{f"flow_{norm}": peers.flow(norm) for norm in ("none", "ewn")},
    "torch_seeds_lin_sep": peers.seeds("lin_sep", "lin-sep, EWN"),
    "torch_seeds_xor": peers.seeds("xor", "XOR, EWN"),
    "matrix_product": pairs.matrix_product,
    "first_run": alone.first_run,
    "attempts": alone.attempts,
    **{f"rule_{name}": rules.small(name) for name in rules.RULES},
    "rules_alone": rules.alone,
    **{f"epoch_{name}": rules.epoch(name) for name in rules.RULES},
    "seeds_lin_sep": alone.seeds("lin_sep", "lin-sep, EWN"),
    "seeds_xor": alone.seeds("xor", "XOR, EWN"),
    "plot": alone.plot,
    "list_runs": alone.list_runs,
}


def tables(rows: list[Row]) -> str:
    """All rows, and once more those in which wnexp is slower."""
    lost = losses(rows)
    return table(rows) + (f"\n## Where we lose\n\nThe worst first.\n\n{table(lost)}" if lost else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*ROWS, []], metavar="NAME", help=", ".join(ROWS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    repeats = 1 if options.quick else options.repeats
    if (load := os.getloadavg()[0]) > 0.5:
        print(f"note: the machine is busy (load {load:.1f}); PyTorch's threads suffer most from that", file=sys.stderr)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(repeats, options.quick, Path(folder), [])
        for name in options.names or ROWS:
            seen = len(bench.agreements)
            made = ROWS[name](bench)
            print(
                "\n".join([*map(str, bench.agreements[seen:]), *("  ".join(row.cells()) for row in made)]), flush=True
            )
            rows += made
    print(f"\n{machine()}; {repeats} turns, median [min, max]\n\n{tables(rows)}")
    return 0 if all(agreement.holds for agreement in bench.agreements) else 1


if __name__ == "__main__":
    sys.exit(main())

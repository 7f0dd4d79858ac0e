"""scikit-learn's linear classifiers on their path to the largest margin, C growing: what a user of linear models takes.

python tests/benchmarks/largest_margins.py linear_svc --start FILE [--gap 1e-3]

FILE holds the data as `bench.py` wrote them from a wnexp run; no intercept. `C` grows tenfold from 1, each fit starting
afresh (`linear_svc`: LinearSVC with the hinge loss) or from the one before (`logistic`: LogisticRegression), until the
normalized margin `min_i y_i <w, x_i> / ||w||` is within GAP of the largest, relative to it, or has got no nearer in two
fits. Prints one JSON line: seconds of the fits, the gap reached, C, the smallest gap on the way.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

MOST_FITS, FRUITLESS, MOST_ITERATIONS = 16, 2, 1_000_000
PATHS = {
    "linear_svc": lambda: LinearSVC(loss="hinge", fit_intercept=False, tol=1e-10, max_iter=MOST_ITERATIONS),
    "logistic": lambda: LogisticRegression(
        fit_intercept=False, tol=1e-10, max_iter=MOST_ITERATIONS, warm_start=True, solver="newton-cholesky"
    ),
}


def normalized_margin(weights: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """Of weights `(d,)` on inputs `(n, d)` and labels -1/+1."""
    return float((y * (x @ weights)).min() / np.linalg.norm(weights))


def path(name: str, x: np.ndarray, y: np.ndarray, largest: float, goal: float) -> dict[str, float]:
    """Fit until the gap to the largest margin, relative to it, is at most `goal`."""
    model, began = PATHS[name](), time.perf_counter()
    best, gap, strength, fruitless = np.inf, np.inf, 1.0, 0
    for fit in range(MOST_FITS):
        strength = 10.0**fit
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.set_params(C=strength).fit(x, y)
        gap = 1 - normalized_margin(model.coef_[0], x, y) / largest
        fruitless = 0 if gap < best else fruitless + 1
        best = min(best, gap)
        if gap <= goal or fruitless == FRUITLESS:
            break
    return {"seconds": time.perf_counter() - began, "gap": gap, "best": best, "C": strength}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=PATHS)
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--largest", type=float, required=True, help="the largest margin")
    parser.add_argument("--gap", type=float, default=0.0, help="0: as near as it gets")
    options = parser.parse_args()
    with np.load(options.start) as arrays:
        x, y = arrays["train_x"].astype(float), arrays["train_y"]
    print(json.dumps(path(options.name, x, y, options.largest, options.gap)))


if __name__ == "__main__":
    main()

"""How time and memory of every engine grow, beside what docstrings state and plans predict.

    python benchmarks/scaling.py                    all of scaling_cases.py, in an hour
    python benchmarks/scaling.py --only lasso       those whose case or engine holds this text
    python benchmarks/scaling.py --predict          asks docstrings and plans anew, measures nothing
    python benchmarks/scaling.py --show             prints the results
    python benchmarks/scaling.py --page             writes docs/growth.md; Sphinx draws its figure

Each pair of case and engine has a process of its own, with one thread. There the two smallest
problems are solved first, which loads libraries and kernels. Seconds are those of the processor,
the least of several rounds, so that other work on the machine counts little; bytes are the highest
resident memory of the process (VmHWM, set back before the call) beyond what it held before. Both
are of `solve`, check included.

An exponent is the slope of a line through the logarithms, over the sizes that take more than 10 ms
or 4 MiB; below, fixed costs decide. The stated exponent is that of the docstring's formula over the
same sizes. A prediction is compared where it or the measurement exceeds these bounds.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import math
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"  # read when NumPy and PyTorch are imported

import numpy as np
from scaling_cases import CASES, TOOLS
from stated_costs import stated, value

import sparseopt as so

RESULTS = Path(__file__).parent / "results" / "scaling.json"
DOCS = Path(__file__).parents[1] / "docs"
LEAST = {"seconds": 0.01, "bytes": 4.0 * 2**20}
FACTOR = 3.0
"""By what a prediction may be off."""
ROOM = 0.3
"""By what a fitted exponent may exceed the stated one: noise, and caches that are left."""
ROUNDS, ENOUGH, LONGEST = 4, 2.0, 25.0
_PACKAGES = (
    "numpy",
    "scipy",
    "numba",
    "torch",
    "scikit-learn",
    "cvxpy",
    "skglm",
    "celer",
    "dask",
    "zarr",
)


# One engine on one case, in a process of its own
def _status(key: str) -> int:
    with open("/proc/self/status", encoding="ascii") as lines:
        return next(1024 * int(x.split()[1]) for x in lines if x.startswith(key))


def _seconds() -> float:
    """Return the processor's time of this process and of children that ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _peak(run: Callable[[], str]) -> tuple[float, int, str]:
    """Run once; return seconds, bytes beyond those before, and what came of it."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before, start = _status("VmRSS"), _seconds()
    outcome = run()
    return _seconds() - start, _status("VmHWM") - before, outcome


def _work(name: str, engine: str, size: int) -> tuple[Callable[[], str], dict[str, Any]]:
    """Return the call to measure, with what the docstring's letters are and the plan predicts."""
    if name in TOOLS:
        call, symbols = TOOLS[name].make(size)

        def run_tool() -> str:
            call()
            return "done"

        return run_tool, {"symbols": symbols}
    case = CASES[name]
    problem, symbols = case.make(size)
    candidate = so.plan(problem, engine, **case.options).candidates[0]
    predicted = getattr(candidate.verdict, "cost", None)

    def run_solver() -> str:
        try:
            return str(so.solve(problem, engine, **case.options).status.name)
        except so.SolveError as error:
            return str(error).splitlines()[0]

    told = {"predicted_seconds": predicted, "predicted_bytes": candidate.memory}
    return run_solver, {"symbols": symbols, **told}


def _told(name: str, engine: str, size: int) -> dict[str, Any]:
    """Return what a docstring's letters are, and what the plan predicts."""
    return _work(name, engine, size)[1]


def ladder(name: str, engine: str) -> None:
    """Measure one engine over all sizes of a case; print a line of JSON for each."""
    sizes = (TOOLS if name in TOOLS else CASES)[name].sizes
    for size in sizes[:2]:
        _work(name, engine, size)[0]()
    for size in sizes:
        rounds: list[tuple[float, int, str]] = []
        spent = 0.0
        while len(rounds) < 2 or (len(rounds) < ROUNDS and spent < ENOUGH):
            run, told = _work(name, engine, size)
            rounds.append(_peak(run))
            spent += rounds[-1][0]
            if spent > LONGEST:
                break
        least = {"seconds": min(r[0] for r in rounds), "bytes": min(r[1] for r in rounds)}
        found = {"size": size, **least, "outcome": rounds[-1][2], **told}
        print(json.dumps(found), flush=True)
        if spent > LONGEST:
            break


# All of them
def engine_of(name: str, engine: str) -> Any:
    """Return whose docstring states the cost."""
    if name in TOOLS:
        return TOOLS[name].engine
    from sparseopt.choosing.discovery import registry

    return next(item.cls for item in registry().solvers if item.name == engine)


def measure(name: str, engine: str) -> dict[str, Any] | None:
    """Return the row of results of one engine on one case, None if nothing was measured."""
    command = [sys.executable, "-W", "ignore", __file__, "--ladder", name, engine]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name}, {engine}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"size"')]
    points = [json.loads(line) for line in lines]
    formulas = stated(engine_of(name, engine))
    if not points or formulas is None:
        return None
    axis = (TOOLS if name in TOOLS else CASES)[name].axis
    row = {"case": name, "axis": axis, "engine": engine, "points": points}
    return row | {"time": formulas.time, "memory": formulas.memory}


def exponents(row: dict[str, Any], what: str) -> tuple[float, float] | None:
    """Return the fitted and the stated exponent; None where too little takes long enough."""
    formula = row["time" if what == "seconds" else "memory"]
    points = [p for p in row["points"] if p[what] >= LEAST[what]]
    if len(points) < 2:
        return None
    sizes = np.log([p["size"] for p in points])
    measured = np.polyfit(sizes, np.log([p[what] for p in points]), 1)[0]
    values = [value(formula, p["symbols"]) for p in points]
    return float(measured), float(np.polyfit(sizes, np.log(values), 1)[0])


def off(point: dict[str, Any], what: str) -> float | None:
    """Return prediction over measurement, both at least the bounds; None without one."""
    said = point.get(f"predicted_{what}")
    if said is None:
        return None
    return max(float(said), LEAST[what]) / max(point[what], LEAST[what])


def predict(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with the formulas and predictions of today, once libraries are loaded."""
    name, engine = row["case"], row["engine"]
    if row["points"][0]["seconds"] < 0.3:  # predictions that count loading are of quick engines
        _work(name, engine, row["points"][0]["size"])[0]()
    formulas = stated(engine_of(name, engine))
    assert formulas is not None
    points = [p | _told(name, engine, p["size"]) for p in row["points"]]
    return row | {"points": points, "time": formulas.time, "memory": formulas.memory}


# What is shown
def _figure(number: float, what: str) -> str:
    if what == "seconds":
        return f"{number:.2g} s" if number >= 0.0995 else f"{1000 * number:.2g} ms"
    size = number / 2**20
    return "< 1 MiB" if size < 1 else f"{float(f'{size:.2g}'):g} MiB"


def _pair(found: tuple[float, float] | None) -> str:
    if found is None:
        return "-"
    mark = " !" if found[0] > found[1] + ROOM else ""
    return f"{found[0]:.1f} / {found[1]:.1f}{mark}"


def _worst(row: dict[str, Any], what: str) -> float | None:
    """Return the ratio of prediction to measurement that is farthest from 1."""
    ratios = [r for p in row["points"] if (r := off(p, what)) is not None]
    return max(ratios, key=lambda r: abs(math.log(r)), default=None)


def _ratio(row: dict[str, Any], what: str) -> str:
    worst = _worst(row, what)
    if worst is None:
        return "-"
    mark = "" if 1 / FACTOR <= worst <= FACTOR else " !"
    return f"{worst:.2g}{mark}"


def table(rows: list[dict[str, Any]]) -> str:
    """Return all rows as Markdown."""
    head = (
        "case", "engine", "sizes", "time O( )", "exponent", "memory O( )", "exponent",
        "at the largest size", "predicted / measured s", "bytes",
    )  # fmt: skip
    lines = [head, ("---",) * len(head)]
    for row in rows:
        first, last = row["points"][0], row["points"][-1]
        at = f"{_figure(last['seconds'], 'seconds')}, {_figure(last['bytes'], 'bytes')}"
        lines.append(
            (
                row["case"], f"`{row['engine']}`", f"{first['size']} to {last['size']}",
                row["time"], _pair(exponents(row, "seconds")),
                row["memory"], _pair(exponents(row, "bytes")),
                at, _ratio(row, "seconds"), _ratio(row, "bytes"),
            )
        )  # fmt: skip
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def summary(rows: list[dict[str, Any]]) -> str:
    """Return in a few lines how many exponents and predictions hold, and which do not."""
    lines = []
    for what in LEAST:
        fits = {f"{r['case']}, {r['engine']}": exponents(r, what) for r in rows}
        told = {key: found for key, found in fits.items() if found is not None}
        worse = [key for key, (fitted, said) in told.items() if fitted > said + ROOM]
        words = "; ".join(worse) or "none"
        lines.append(f"- Of {len(told)} exponents of {what} larger than stated: {words}.")
        ratios = [(r, p["size"], off(p, what)) for r in rows for p in r["points"]]
        known = [(r, size, ratio) for r, size, ratio in ratios if ratio is not None]
        beyond = [
            f"{r['case']}, {r['engine']}, {size}: {ratio:.2g}"
            for r, size, ratio in known
            if not 1 / FACTOR <= ratio <= FACTOR
        ]
        within = len(known) - len(beyond)
        lines.append(f"- {within} of {len(known)} predictions of {what} are within a factor of 3.")
        lines += [f"  - {line}" for line in beyond]
    return "\n".join(lines)


PAGE = """# How cost grows

Seconds of the processor and peak memory of every engine, over sizes of random problems, beside
what its docstring states and what `so.plan` predicts. Made by `python benchmarks/scaling.py --page`
from `benchmarks/results/scaling.json`; that script says how it measures. One thread on a shared
machine: trust one digit.

<!-- figure: growth -->

- *exponent*: the slope of a line through the logarithms, measured / stated, over the sizes that
  take more than 10 ms or 4 MiB, below which fixed costs decide. `!` marks one that is larger than
  stated by more than 0.3.
- *predicted / measured*: the ratio that is farthest from 1 over all sizes, where one of both
  exceeds 10 ms or 4 MiB. `!` marks more than a factor of 3.

{summary}

Least sure are searches, whose work the answer decides (windows sought in vain, curves, repairs),
and descents from several starts: on other problems of the same size they may take a tenth of the
seconds, or ten times as many.

{table}
{versions}
"""


def page(kept: dict[str, Any]) -> str:
    """Return the page of the documentation."""
    rows = kept["rows"]
    versions = ", ".join(f"{name} {number}" for name, number in kept["versions"].items())
    return PAGE.format(summary=summary(rows), table=table(rows), versions=versions)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def measure_all(only: str, output: Path) -> None:
    """Measure what matches, and put it among the results of earlier runs."""
    before = json.loads(output.read_text()) if output.exists() else {"rows": []}
    rows = {(r["case"], r["engine"]): r for r in before["rows"]}
    wanted = [(name, engine) for name, case in CASES.items() for engine in case.solvers]
    wanted += [(name, tool.name) for name, tool in TOOLS.items()]
    for name, engine in wanted:
        if only in f"{name}, {engine}":
            row = measure(name, engine)
            if row is None:
                print(f"{name}, {engine}: nothing measured", file=sys.stderr)
            else:
                rows[name, engine] = row
                print(table([row]).splitlines()[-1], flush=True)
    kept = [rows[key] for key in wanted if key in rows]
    versions = {package: _version(package) for package in _PACKAGES}
    machine = {"python": platform.python_version(), "cpu": platform.machine(), **versions}
    output.write_text(json.dumps({"versions": machine, "rows": kept}, indent=1) + "\n")


def main() -> None:
    """Measure, or show what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="measure what holds this text")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--predict", action="store_true", help="measure nothing, predict anew")
    parser.add_argument("--show", action="store_true", help="print the tables of the results")
    parser.add_argument("--page", action="store_true", help="write the page")
    parser.add_argument("--ladder", nargs=2, metavar=("CASE", "ENGINE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ladder:
        ladder(*given.ladder)
        return
    if given.predict:
        kept = json.loads(given.output.read_text())
        kept["rows"] = [predict(row) for row in kept["rows"]]
        given.output.write_text(json.dumps(kept, indent=1) + "\n")
    elif not (given.show or given.page):
        measure_all(given.only, given.output)
    rows = json.loads(given.output.read_text())["rows"]
    if given.show:
        print(table(rows))
    if given.page:
        (DOCS / "growth.md").write_text(page(json.loads(given.output.read_text())))
    print(summary(rows))


if __name__ == "__main__":
    main()

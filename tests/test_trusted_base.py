"""What a verdict rests on: the lines that run when certificates of a kind are judged.

To see the table: ``python -m pytest -q -s tests/test_trusted_base.py``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import forgeries_borders
import forgeries_change
import forgeries_closedness
import forgeries_coercive
import forgeries_deconvolution
import forgeries_factorization
import forgeries_greedy
import forgeries_identifiability
import forgeries_identifiability_constants
import forgeries_identifiability_facets
import forgeries_identifiability_figures
import forgeries_identifiability_seconds
import forgeries_identifiability_settling
import forgeries_identifiability_units
import forgeries_interpolation
import forgeries_known_support
import forgeries_one_hidden_layer
import forgeries_paths
import forgeries_penalties
import forgeries_products
import forgeries_pursuit
import forgeries_pursuit_borders
import forgeries_quantization
import forgeries_quantization_complex
import forgeries_recovery
import forgeries_recovery_complex
import forgeries_regression
import forgeries_rescaling
import forgeries_subsets
import forgeries_training
import pytest
from rooms import BUILT_ON, TRUSTED_BY_ALL, room
from trusted_lines import Lines, judged_lines

import sparseopt as so
from sparseopt.judging.json_types import HOMES

MOST_OF_A_KIND = 900
MOST_OF_WIRINGS = {"SecondNetworkCertificate": 950, "StructuralCertificate": 1050}
"""Kinds whose certificates here speak of networks of every wiring, pools, skips, dead units: these
together run more, each of them at most `MOST_OF_A_KIND`."""
MOST_OF_THE_FIRST = 4500
KINDS = sorted(name for name in HOMES if name.endswith("Certificate"))
FIRST = {
    "ButterflyCertificate",
    "ClosedSupportCertificate",
    "ComparableCertificate",
    "DualityGapCertificate",
    "ExternalExclusionCertificate",
    "FixedSupportCertificate",
    "KroneckerChainCertificate",
    "LipschitzCertificate",
    "NotClosedCertificate",
    "PathCostCertificate",
    "PathDistanceCertificate",
    "PathNormCertificate",
    "PermutedButterflyCertificate",
    "ReducedClosedCertificate",
    "ShortenedChainCertificate",
    "SingleFactorCertificate",
    "TrainingCertificate",
}
"""The kinds that there were when the base was first counted; later ones are counted each."""


def certificates() -> Iterator[so.Certificate]:
    """Yield certificates of every kind that must be accepted."""
    for bank in (
        forgeries_borders,
        forgeries_change,
        forgeries_closedness,
        forgeries_coercive,
        forgeries_deconvolution,
        forgeries_factorization,
        forgeries_identifiability,
        forgeries_identifiability_constants,
        forgeries_identifiability_facets,
        forgeries_identifiability_figures,
        forgeries_identifiability_seconds,
        forgeries_identifiability_settling,
        forgeries_identifiability_units,
        forgeries_interpolation,
        forgeries_known_support,
        forgeries_one_hidden_layer,
        forgeries_paths,
        forgeries_penalties,
        forgeries_products,
        forgeries_pursuit,
        forgeries_pursuit_borders,
        forgeries_quantization,
        forgeries_quantization_complex,
        forgeries_greedy,
        forgeries_recovery,
        forgeries_recovery_complex,
        forgeries_regression,
        forgeries_rescaling,
        forgeries_subsets,
        forgeries_training,
    ):
        for _, found in bank.honest():
            if isinstance(found, so.Certificate):
                yield found
    yield forgeries_closedness.external("z3")


@pytest.fixture(scope="module")
def ran() -> dict[str, list[Lines]]:
    """For each kind the lines that ran, certificate by certificate."""
    found: dict[str, list[Lines]] = defaultdict(list)
    for certificate in certificates():
        found[kind_of(certificate)].append(judged_lines(so.to_json(certificate)))
    return found


def kind_of(certificate: so.Certificate) -> str:
    """Return the class, and for regressions what else decides which lines judge: the penalty, where
    it is not a norm of blocks, and whether the design is an operator."""
    name, problem = type(certificate).__name__, certificate.problem
    if not isinstance(problem, so.SparseRegression):
        return name
    parts = {type(part) for part in getattr(problem.penalty, "parts", (problem.penalty,))}
    other = parts & {so.Ridge, so.SparseGroupL1, so.TotalVariation, so.NuclearNorm}
    operator = ["operator"] if isinstance(problem.design, so.KroneckerProduct) else []
    return ", ".join([name, *sorted(cls.__name__ for cls in other)[:1], *operator])


def count(lines: Lines) -> int:
    return sum(map(len, lines.values()))


def union(parts: list[Lines]) -> Lines:
    joined: dict[str, set[int]] = defaultdict(set)
    for part in parts:
        for file, lines in part.items():
            joined[file] |= lines
    return joined


def show(ran: dict[str, list[Lines]]) -> None:
    """Print lines per kind, and where they stand."""
    print("\nlines that run when one certificate is judged (median), and all of a kind; files")
    for kind in sorted(ran):
        one, whole = sorted(map(count, ran[kind])), union(ran[kind])
        print(f"{kind:30} {one[len(one) // 2]:5} {count(whole):5} {len(whole):3}")
    whole = union([part for parts in ran.values() for part in parts])
    print(f"{'all kinds':30} {count(whole):11} {len(whole):3}\nby room")
    by_room: Counter[str] = Counter()
    for file, lines in whole.items():
        by_room[room(file)] += len(lines)
    for name, lines in by_room.most_common():
        print(f"  {name:28} {lines:11}")


def test_every_kind_is_counted(ran: dict[str, list[Lines]]) -> None:
    show(ran)
    assert sorted({kind.partition(", ")[0] for kind in ran}) == KINDS


def test_a_verdict_rests_on_few_lines(ran: dict[str, list[Lines]]) -> None:
    counted = {kind: count(union(parts)) for kind, parts in ran.items()}
    over = {k: n for k, n in counted.items() if n > MOST_OF_WIRINGS.get(k, MOST_OF_A_KIND)}
    assert over == {}
    assert max(count(lines) for parts in ran.values() for lines in parts) <= MOST_OF_A_KIND
    first = union([part for kind in sorted(FIRST) for part in ran[kind]])
    assert count(first) <= MOST_OF_THE_FIRST


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_rooms_of_a_kind_run(kind: str, ran: dict[str, list[Lines]]) -> None:
    home = room(HOMES[kind])
    allowed = {*TRUSTED_BY_ALL, home, *BUILT_ON[home]}
    parts = [part for name in ran if name.partition(", ")[0] == kind for part in ran[name]]
    assert [file for file in union(parts) if room(file) not in allowed] == []

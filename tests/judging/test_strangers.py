"""Objects of strange classes, and small files that ask for much."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.guarantees.families import Structure, described
from sparseopt.judging import serialization
from sparseopt.judging.serialization import from_json
from sparseopt.networks import Dense, Input, Network, Node, Relu, chain

COPIES = chain((2,), Dense([[1.0, 0.5], [1.0, 0.5]], [1.0, 1.0]), Relu(), Dense([[1.0, 1.0]]))
INPUTS = [[1.0, 2.0], [2.0, 1.0], [-1.0, 3.0]]


def derived(value: Any) -> Any:
    """Return a copy whose class is derived from its class."""
    made = object.__new__(type("Derived", (type(value),), {}))
    made.__dict__.update(value.__dict__)
    return made


def alike(value: Any) -> Any:
    """Return an object with the same attributes, whose class is not derived from anything."""
    return SimpleNamespace(**{f.name: getattr(value, f.name) for f in dataclasses.fields(value)})


def network_certificates() -> list[so.Certificate]:
    other = COPIES.with_parameters({"0:Dense.weight": np.array([[1.0, 0.25], [1.0, 0.5]])})
    problems: list[Any] = [
        so.PathNorm(COPIES),
        so.PathCost(COPIES),
        so.PathDistance(COPIES, other),
        so.LipschitzBound(COPIES),
        so.OutputChange(COPIES, other, -1, 1),
        so.Identifiability(COPIES, INPUTS),
    ]
    found = [so.solve(problem).certificate for problem in problems]
    return [each for each in found if each is not None]


@pytest.mark.parametrize("place", range(6))
def test_answers_are_of_the_very_class(place: int) -> None:
    proof = network_certificates()[place]
    assert so.verify(proof).ok
    for change in (derived, alike):
        assert not so.verify(dataclasses.replace(proof, answer=change(proof.answer))).ok  # type: ignore[type-var]


def test_problems_are_of_a_class_that_names_its_certificates() -> None:
    class Other(so.Closedness):
        def describe(self) -> str:
            return "everything"

    proof: Any = so.solve(so.Closedness([[[1, 1]]])).certificate
    check = so.verify(type(proof)(Other([[[1, 1]]]), proof.answer))
    assert not check.ok
    assert "those that Other lists" in check.details[-1]

    @so.proves(Other)
    @dataclasses.dataclass(frozen=True, eq=False)
    class Own(so.Certificate):
        problem: Other
        answer: None = None
        claim = "nothing"  # type: ignore[assignment]

        def check(self, steps: so.Steps) -> None:
            """Require nothing."""

    assert Other.certificates == (Own,)
    assert not so.verify(type(proof)(Other([[[1, 1]]]), proof.answer)).ok


def test_no_evidence_says_itself_what_it_proves() -> None:
    problem = so.Identifiability(COPIES, INPUTS)
    answer = problem.verdict("identifiable", problem.bound)
    evidence: Any = SimpleNamespace(inputs=None, rank=lambda steps, problem: problem.bound)
    assert not so.verify(so.JacobianRankCertificate(problem, answer, evidence)).ok


def test_a_family_that_is_given_twice_counts_once() -> None:
    solution = so.solve(so.Identifiability(COPIES, INPUTS))
    proof: Any = solution.certificate
    assert isinstance(proof, so.StructuralCertificate)
    assert so.verify(proof).ok
    often = proof.families * 9
    pattern = None if proof.from_any_data else proof.problem.pattern
    words = described(Structure(proof.problem.wires, pattern), often)
    assert words == proof.answer.directions


def test_a_price_is_rounded_outward() -> None:
    supports = [np.ones((1, 1))] * 2
    answer = so.ClosedSupport(supports, 1, Fraction(1000006, 10**6), Fraction(3000018, 10**6))  # type: ignore[arg-type]
    assert str(answer).endswith("at a cost of at most 3.00002 (at least 1 needed)")
    whole = so.ClosedSupport(supports, 1, 2, Fraction(3))  # type: ignore[arg-type]
    assert str(whole).endswith("at a cost of 3 (at least 2 needed)")


@pytest.mark.skipif(np.finfo(np.longdouble).nmant <= 52, reason="long doubles are doubles here")
def test_no_long_double_of_a_design_is_rounded() -> None:
    matrix = np.array([[1, 1], [1, 1]], dtype=np.longdouble)
    product = so.KroneckerProduct([matrix.reshape(1, 2, 2, 1)], [(1, 2, 2, 1)])
    assert so.RecoveryGuarantee(product, sparsity=1).columns.shape == (2, 2)
    matrix[0, 1] += np.longdouble(2) ** -60
    product = so.KroneckerProduct([matrix.reshape(1, 2, 2, 1)], [(1, 2, 2, 1)])
    with pytest.raises(so.ProblemError, match="float64 does not"):
        so.RecoveryGuarantee(product, sparsity=1)


def test_names_of_layers_are_texts() -> None:
    dense = Dense(np.eye(2))
    nodes = [Node("x", Input((2,))), Node("1", dense, ("x",)), Node(1, dense, ("1",))]  # type: ignore[arg-type]
    with pytest.raises(so.ProblemError, match="texts, must be unique"):
        Network(tuple(nodes), 1)  # type: ignore[arg-type]


def shared(levels: int, path: str = "") -> Any:
    """Return a document in which each object holds the one before it twice."""
    if not levels:
        return "x"
    inner = shared(levels - 1, f"{path}/name")
    again = {"$ref": f"{path}/name"} if levels > 1 else "y"
    return {"$type": "sparseopt:Skipped", "name": inner, "reason": again}


def test_what_references_stand_for_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(from_json(json.dumps(shared(12))), so.interface.report.Skipped)  # type: ignore[attr-defined]
    with pytest.raises(so.ProblemError, match="parts"):
        from_json(json.dumps(shared(40)))
    monkeypatch.setattr(serialization, "MOST_PARTS", 100)
    with pytest.raises(so.ProblemError, match="over 100 parts"):
        from_json(json.dumps(shared(12)))


def test_numbers_that_take_long_are_refused() -> None:
    long = "f" * (1 << 17)
    assert from_json(json.dumps({"$fraction": f"0x{long}/0x1"})) == int(long, 16)
    with pytest.raises(so.ProblemError, match="not a rational number"):
        from_json(json.dumps({"$fraction": f"0x{long}f/0x{long}"}))
    for key in ([2**61 - 1], [-(2**80)], [{"$fraction": "1/3"}], [None]):
        with pytest.raises(so.ProblemError, match="keys are texts"):
            from_json(json.dumps({"$map": [[*key, 0]]}))
    assert from_json('{"$map": [[-3, 0], [1.5, 1], ["$a", 2]]}') == {-3: 0, 1.5: 1, "$a": 2}


def test_a_store_gives_nothing_that_was_asked_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "sweep.jsonl"
    problem = so.SparseRegression(np.eye(3), [3.0, 2.0, 1.0], so.L1(0.5))
    (good,) = so.solve_all([problem], store=path, tolerance=1e-10)
    key = json.loads(path.read_text())["key"]
    bad, proof = so.DualityGapCertificate.build(problem, np.ones(3))
    status = so.Status
    for state, asked, held in (
        (status.VERIFIED, None, proof),
        (status.VERIFIED, 1e9, proof),
        (status.UNDECIDED, None, None),
        (status.UNCHECKED, 1e-10, proof),
    ):
        entry = so.Solution(problem, bad, held, state, "", 0.0, so.Plan("", ()), asked)
        with path.open("a") as file:
            file.write(so.to_json({"key": key, "solution": entry}) + "\n")
        (found,) = so.solve_all([problem], store=path, tolerance=1e-10)
        assert np.array_equal(found.answer.x, good.answer.x)  # type: ignore[union-attr]


MASKED: Any = np.ma.masked_array(np.eye(2), mask=[[0, 1], [0, 0]])
ONES = np.ones((2, 2))
TAKING: dict[str, Any] = {
    "supports": lambda: so.Closedness([MASKED, ONES]),
    "supports of a training": lambda: so.SparseTraining([MASKED, ONES]),
    "supports to repair": lambda: so.NearestClosedSupport([MASKED, ONES]),
    "target of supports": lambda: so.FixedSupportFactorization(MASKED, [ONES, ONES]),
    "target": lambda: so.ButterflyFactorization(MASKED, [(1, 2, 2, 1)]),
    "factor": lambda: so.KroneckerProduct([MASKED.reshape(1, 2, 2, 1)], [(1, 2, 2, 1)]),
    "weights of a layer": lambda: Dense(MASKED),
    "design": lambda: so.SparseRegression(MASKED, [1, 2], so.L1(0.1)),
    "weights of a penalty": lambda: so.L1(0.1, weights=MASKED[0]),
    "weights of rows": lambda: so.SparseRegression(
        np.eye(2), [1, 2], so.L1(0.1), sample_weights=MASKED[0]
    ),
    "inputs": lambda: so.Identifiability(COPIES, MASKED),
    "bounds": lambda: so.OutputChange(COPIES, COPIES, MASKED[0], 1),
    "starts": lambda: so.largest_change(COPIES, COPIES, 0, 1, inputs=MASKED),
    "vector": lambda: so.RankOneQuantization(MASKED[0], [1.0], so.significand(4), None),
}


@pytest.mark.parametrize("place", TAKING)
def test_masks_are_not_dropped(place: str) -> None:
    with pytest.raises(so.ProblemError, match="masked array"):
        TAKING[place]()


def test_a_store_keeps_what_could_not_be_decided(tmp_path: Path) -> None:
    path, problem = tmp_path / "sweep.jsonl", so.Closedness([np.ones((6, 5)), np.ones((5, 6))])
    options: dict[str, Any] = {"store": path, "solver": "lu_pattern"}
    (first,) = so.solve_all([problem], **options)
    assert isinstance(first, so.Solution)
    assert first.answer.value == "unknown"
    kept = path.read_text()
    (again,) = so.solve_all([problem], **options)
    assert isinstance(again, so.Solution)
    assert again.answer.value == "unknown"
    assert path.read_text() == kept, "it was solved again"

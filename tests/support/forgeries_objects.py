"""Objects within certificates that are not what the core's constructors make, and some that are."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse
import torch
from laws import law

import sparseopt as so
from sparseopt.inverse.fit import Penalty
from sparseopt.judging import check, settling
from sparseopt.judging.settling import settle

SUPPORTS = [[[1, 0], [0, 1]], [[1, 0], [0, 1]]]


@dataclass(frozen=True, eq=False)
class Holding(so.Certificate):
    """Of a question of a third party, which looks at nothing that it holds."""

    problem: Any
    answer: Any
    held: Any = None

    @property
    def claim(self) -> str:
        """Nothing."""
        return "something is held"

    def check(self, steps: so.Steps) -> None:
        """Take everything."""


@dataclass(frozen=True, eq=False)
class Question(so.Problem):
    """A question of a third party."""

    certificates = (Holding,)
    about: Any = None

    def describe(self) -> str:
        """Name it."""
        return "a question"

    def evaluate(self, answer: Any) -> Any:
        """Return nothing."""
        return {}


@dataclass(frozen=True, eq=False)
class OwnRegression(so.SparseRegression):
    """A question of a third party that derives from one of the core."""

    certificates = (Holding,)


@dataclass(eq=False)
class Once:
    """A record of a third party whose constructor runs once."""

    made: int = 0

    def __post_init__(self) -> None:
        self.made += 1


@dataclass(eq=False)
class Derived(Once):
    """A record of a third party that derives from another."""


@dataclass(frozen=True)
class Engine(so.Solver[Question]):
    """A record that derives from a class of the core that is none."""

    def accepts(self, problem: Any) -> so.Accepted:
        """Take everything."""
        return so.Accepted()

    def solve(self, problem: Any, context: so.Context) -> Any:
        """Decide nothing."""
        raise so.Inconclusive("nothing")


class Format(so.NumberFormat):
    """Derives from a record of the core."""


class EqualsFloat(ABCMeta):
    """The class of classes that equal that of floats."""

    def __eq__(cls, other: object) -> bool:
        return True

    def __hash__(cls) -> int:
        return hash(float)


class Plain(metaclass=EqualsFloat):
    """Is called plain where classes are compared by ==."""


class OtherClass(ABCMeta):
    """The class of classes of which nothing is known."""


class Lying(str, metaclass=OtherClass):
    """A text that is shown as another one."""

    __slots__ = ()

    def __str__(self) -> str:
        return "merged"


class LyingFraction(Fraction, metaclass=OtherClass):
    """A number that is another one where it is computed with."""

    def as_integer_ratio(self) -> tuple[int, int]:
        """Return 0."""
        return 0, 1


class LyingFormat(so.NumberFormat, metaclass=OtherClass):
    """A record that derives from one of the core."""


class LyingTensor(torch.Tensor):
    """A tensor that is another one where it is computed with."""


class HidesTensors(type(torch.Tensor)):  # type: ignore[misc]
    """The class of classes of tensors that do not say so."""

    def __getattribute__(cls, name: str) -> Any:
        if name in ("detach", "__cuda_array_interface__"):
            raise AttributeError(name)
        return super().__getattribute__(name)


class HiddenTensor(torch.Tensor, metaclass=HidesTensors):
    """A tensor that says it is none."""


class OwnProof(so.ReducedClosedCertificate):
    """A certificate of a third party that derives from one of the core."""


class Loose(metaclass=OtherClass):
    """Derives from nothing of which the core knows anything."""


class OnDevice:
    """Has what tensors have."""

    def detach(self) -> Any:
        """Return what it likes."""


class OnGpu:
    """Has what arrays of CuPy have."""

    __cuda_array_interface__ = None


class Two(int):
    """An integer of a derived class."""


@dataclass
class Renamed:
    """Says that it is a class of the core."""


Renamed.__module__ = "sparseopt.closedness.certificate"
Renamed.__qualname__ = "ClosednessVerdict"


@dataclass(frozen=True, eq=False)
class Borrowing(so.Problem):
    """A question of a third party that lists a certificate of the core as its own."""

    certificates = (type(so.solve(so.Closedness(SUPPORTS)).certificate),)

    def describe(self) -> str:
        """Claim what it likes."""
        return "closedness of every set"

    def evaluate(self, answer: Any) -> Any:
        """Return nothing."""
        return {}

    def __getattr__(self, name: str) -> Any:
        """Answer as a question of the core does."""
        return getattr(so.Closedness(SUPPORTS), name)


def fraction(numerator: int, denominator: int) -> Fraction:
    """Return a Fraction made past its constructor."""
    made = Fraction(1, 3)
    made._numerator, made._denominator = numerator, denominator  # type: ignore[attr-defined]
    return made


def proof() -> Any:
    """Return a proof of the core."""
    return so.solve(so.Closedness(SUPPORTS)).certificate


def answering(value: Any) -> Callable[[], so.Check]:
    """Verify a proof of the core whose answer gives another reason, which is not looked at."""

    def verified() -> so.Check:
        found = proof()
        object.__setattr__(found.answer, "reason", value)
        return so.verify(found)

    return verified


def holding(value: Any, about: Any = None) -> Callable[[], so.Check]:
    """Verify a certificate of a third party that holds a value."""
    return lambda: so.verify(Holding(Question(about), None, value))


def _twin(kind: type, base: type = object, *arguments: Any) -> Any:
    """Return an object of a class that equals another one."""

    class Twins(OtherClass):
        def __eq__(cls, other: object) -> bool:
            return True

        def __hash__(cls) -> int:
            return hash(kind)

    return Twins("Twin", (base,), {})(*arguments)


def _twin_with_fields() -> Any:
    """Return an object of a class that equals that of lists, and has fields."""
    made = _twin(list)
    type(made).__dataclass_fields__ = {}
    return made


def _twin_certificate() -> so.Check:
    """Verify a certificate of a class that equals the one that a question lists."""
    made = _twin(Holding, Holding, Question(), None)
    type(made).claim = property(lambda self: "anything")
    return so.verify(made)


def _borrowed() -> so.Check:
    """Verify a proof of the core of a question that is none of the core."""
    found = proof()
    object.__setattr__(found, "problem", Borrowing())
    return so.verify(found)


def _own_proof() -> Any:
    found = so.solve(so.Closedness([[[1, 0], [0, 1], [0, 1]], [[1, 0], [0, 1]]]), "reduction")
    return OwnProof(*(getattr(found.certificate, f.name) for f in fields(found.certificate)))


def _after_twins() -> so.Check:
    """Verify what was changed, after classes that equal those of the core were looked at."""
    found = proof()
    settling._is_found.cache_clear()
    twins = list(map(_twin, (so.Closedness, so.ClosednessVerdict, type(found))))
    assert so.verify(Holding(Question(twins), None)).ok
    object.__setattr__(found.answer, "value", Plain())
    return so.verify(found)


def _with_parts() -> so.Check:
    """Verify a certificate whose penalty was given parts, for which the judge looks."""
    design, target = np.eye(4) + 0.1, np.arange(4.0)
    variation = so.SparseRegression(design, target, so.TotalVariation(0.5))
    posed = so.NuclearNorm(0.5, (2, 2))
    object.__setattr__(posed, "parts", (variation.penalty,))
    asked = so.SparseRegression(design, target, posed)
    x = np.asarray(so.solve(variation).answer.x)
    return so.verify(so.DualityGapCertificate.build(asked, x)[1])


def _lasso() -> Any:
    penalty: Penalty = so.L1(0.5)
    return so.solve(so.SparseRegression(np.eye(2), [1.0, 2.0], penalty)).certificate


def _half() -> so.Check:
    """Verify a gap that was set past the constructor, as text."""
    found = _lasso()
    object.__setattr__(found, "gap", "1e-300")
    return so.verify(found)


def _forgets(name: str) -> bool:
    """Whether a sparse matrix forgets an attribute that its class does not have."""
    design = scipy.sparse.csr_array(np.eye(2))
    problem = so.SparseRegression(design, [1.0, 2.0], so.L1(0.5))
    problem.design.__dict__[name] = True
    settle(problem)
    return name not in problem.design.__dict__


def _keeps() -> bool:
    """Whether the problem that was asked keeps its fields."""
    problem = so.Closedness(SUPPORTS)
    held = {field.name: getattr(problem, field.name) for field in fields(problem)}
    solution = so.solve(problem)
    check.check_certificate(solution.certificate, problem, solution.answer)
    return all(getattr(problem, name) is value for name, value in held.items())


def _torch_factors() -> so.Check:
    chain = so.Architecture([(1, 2, 2, 1)])
    factor = torch.eye(2, dtype=torch.float64).reshape(1, 2, 2, 1)
    answer = so.KroneckerProduct([factor], chain)
    return so.verify(so.ButterflyCertificate(so.ButterflyFactorization(np.eye(2), chain), answer))


def _changed(change: Callable[[dict[str, Any]], Any]) -> bool:
    """Whether a judgement is remembered of a proof that was changed after it."""
    found = proof()
    assert so.verify(found).ok
    change(vars(found))
    return check.remembered(found) is not None


def _remembered_of(**other: Any) -> bool:
    """Whether a judgement is remembered of another certificate, problem or answer."""
    found = proof()
    assert so.verify(found).ok
    asked = {"certificate": found, "problem": found.problem, "answer": found.answer, **other}
    if asked["certificate"] is Holding:  # of the same fields, in the place of the first
        asked["certificate"] = object.__new__(Holding)
        vars(asked["certificate"]).update(vars(found))
        check._judged[id(asked["certificate"])] = check._judged[id(found)]
    return check.remembered(**asked) is not None


def forged() -> Iterator[tuple[str, Any]]:
    """Yield (name, function that verifies); none may be accepted."""
    cycle: list[Any] = []
    cycle.append(Plain())
    for name, value in {
        "an object of an unknown class": OnDevice.__new__(type("Unknown", (), {})),
        "an object of the core that is no record": so.Steps(),
        "a record of a third party": Once(),
        "an object whose class equals that of floats": Plain(),
        "an object with fields whose class equals that of lists": _twin_with_fields(),
        "one within a list": cycle,
        "an integer of a derived class": Two(2),
        "a number that wraps around": np.int8(2),
        "a number of half precision": np.float16(2),
        "a class with the name of one of the core": Renamed(),
    }.items():
        yield name, answering(value)
    for name, value in {
        "not in lowest terms": fraction(2, 2),
        "a negative denominator": fraction(1, -1),
        "a numerator of a derived class": fraction(Two(2), 1),
        "a denominator of a derived class": fraction(1, Two(2)),
    }.items():
        yield f"a Fraction with {name}", holding(value)
    yield "an imitation of a tensor", holding(OnDevice())
    yield "an imitation of an array on a GPU", holding(OnGpu())
    yield "a certificate whose class equals the one that is listed", _twin_certificate
    yield "a proof of the core of a third party's question", _borrowed
    yield "a record that derives from one of the core", holding(Format("int4"))
    yield "such a record in the question", holding(None, Format("int4"))
    for name, value in {
        "a text": Lying("as_is"),
        "a number": LyingFraction(5),
        "a record of the core": LyingFormat("int4"),
        "a tensor": torch.eye(2).as_subclass(LyingTensor),
        "a hidden tensor": torch.eye(2).as_subclass(HiddenTensor),
    }.items():
        yield f"{name} of a class of an unknown class", holding(None, value)
    pair = [_twin(Question), _twin(Question, str, "as_is")]
    yield "a text of a class that equals one that was looked at", holding(None, pair)
    yield "a verdict after classes that equal those of the core", _after_twins
    yield "parts that a penalty does not have", _with_parts
    yield "a figure set past its constructor", _half
    yield "a judgement of what has another field", law(lambda: _changed(lambda d: d.popitem()))
    yield (
        "a judgement of what has another answer",
        law(lambda: _changed(lambda d: d.update(answer=1))),
    )
    for name, another in {
        "object": {"certificate": Holding},
        "problem": {"problem": so.Closedness([[[1]], [[1]]])},
        "answer": {"answer": None},
    }.items():
        yield f"a judgement of another {name}", law(partial(_remembered_of, **another))
    yield (
        "a judgement of nothing",
        law(lambda: check.remembered(None, so.Closedness(SUPPORTS)) is not None),
    )
    unknown = law(lambda: check.remembered(proof(), so.Closedness(SUPPORTS)) is not None)
    yield "a judgement that nobody made", unknown


def honest() -> Iterator[tuple[str, Any]]:
    """Yield (name, function that verifies); all must be accepted."""
    cycle: list[Any] = [1]
    cycle.append(cycle)
    for name, value in {
        "nothing": None,
        "numbers": (True, 1, 1.0, 1j, "text", np.float64(1.0), np.True_, Fraction(2, 3)),
        "a list within itself": cycle,
        "a record of a third party": Once(),
        "a record that derives from it": Derived(),
        "a record that derives from a class of the core": Engine(),
        "an object of an unknown class": OnDevice.__new__(type("Unknown", (), {})),
        "an object whose class equals that of floats": Plain(),
        "an object of a class of an unknown class": Loose(),
        "an object whose class equals that of lists": _twin(list),
        "a certificate that derives from one of the core": _own_proof(),
        "NumPy's own numbers": [np.int8(1), np.float32(1.0), np.str_("one"), np.uint64(1)],
    }.items():
        yield f"a third party's certificate of {name}", holding(value)
    regression = OwnRegression(np.eye(2), [1.0, 2.0], so.L1(0.5))
    yield "a question that derives from one of the core", Holding(regression, None)
    yield "a penalty, which derives from another record", lambda: so.verify(_lasso())
    yield "factors of torch", _torch_factors
    yield "a constructor of a third party runs once", law(lambda: _runs_once())
    yield "the problem that was asked keeps its fields", law(_keeps)
    yield "sparse matrices forget", law(lambda: _forgets("_has_canonical_format"))
    yield "a judgement of problem and answer", law(_remembered_of)
    yield "a judgement of what it was made of", law(lambda: _changed(lambda d: None))
    yield "a judgement of what remembers more", law(lambda: _changed(lambda d: d.update(tree=1)))


def _runs_once() -> bool:
    held = Once()
    return so.verify(Holding(Question(), None, held)).ok and held.made == 1

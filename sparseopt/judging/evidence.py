"""Evidence of certificates, read once: plain data in, exact and immutable values out.

A certificate travels as lists, tuples, maps, words and exact numbers, and may say anything. Each
kind of evidence has a `Form`, and everything that judges, explains or uses the evidence takes what
`Form.read` returns: tuples of `int`, `Fraction`, `str` and tuples, and each node of a proof as
its `Rule`. Whatever else is met is refused by its place. Nothing is converted that is not exact:
True is not an integer, 1.0 not a rational, a string not a list, a map not a row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from sparseopt.interface.errors import ProblemError

Place = tuple[Any, ...]
"""Where a value stands: (name,) of a field, or (place of the whole, index of the part)."""

DEEPEST = 300
"""Levels of nesting beyond which evidence is refused; checks recurse along them."""
MOST_BITS = 10_000
"""Bits of a number beyond which it is refused, about 3,000 decimal digits."""


class EvidenceError(ProblemError):
    """Evidence that is malformed, or does not prove what it is meant to; the message says why."""


def refusal(place: Place, wanted: str, found: Any) -> EvidenceError:
    """Return the error that says what was wanted at a place and what was found."""
    return EvidenceError(f"{_shown_place(place)}: expected {wanted}, found {brief(found)}")


def _shown_place(place: Place) -> str:
    keys = []
    while len(place) > 1:
        place, key = place
        keys.append(f"[{key}]")
    if len(keys) > 12:
        keys[6:-6] = ["..."]
    return str(place[0]) + "".join(reversed(keys))


def brief(value: Any) -> str:
    """Return a value in a few printable characters, whatever it is."""
    if isinstance(value, str):
        return ascii(value[:40]) + ("..." if len(value) > 40 else "")
    if type(value) in (int, Fraction):
        return (
            str(value)
            if -(10**30) < value < 10**30 and value.denominator < 10**30
            else "a long number"
        )
    if isinstance(value, list | tuple | dict):
        return f"a {type(value).__name__} of {len(value)}"
    return repr(value) if type(value) in (bool, float, type(None)) else type(value).__name__


class Form(ABC):
    """What evidence of one kind looks like."""

    def read(self, value: Any, place: Place) -> Any:
        """Return the exact, immutable value.

        Parameters
        ----------
        value : object
            As it stands in the certificate. What was read before reads as itself.
        place : Place
            For the error: ``("name of the field",)``.

        Raises
        ------
        EvidenceError
            If the value does not have this form, naming the place.
        """
        return self.read_at(value, place, 0)

    @abstractmethod
    def read_at(self, value: Any, place: Place, depth: int) -> Any:
        """Do the same for a part that lies `depth` levels down."""

    def read_each(self, parts: Sequence[Any], place: Place, depth: int) -> list[Any]:
        """Do the same for the parts of a list, all of this form."""
        return [self.read_at(part, (place, number), depth) for number, part in enumerate(parts)]


@dataclass(frozen=True)
class Integer(Form):
    """An int, not a bool, between two bounds."""

    least: int = 0
    most: int = 2**62

    def read_at(self, value: Any, place: Place, depth: int) -> int:
        """Return the int."""
        if type(value) is not int or not self.least <= value <= self.most:
            raise refusal(place, f"an integer from {self.least} to {self.most}", value)
        return value


_SMALL = {value: Fraction(value) for value in range(-2, 3)}
"""What large sparse matrices hold most; a Fraction is made once for each."""


@dataclass(frozen=True)
class Rational(Form):
    """An int or a Fraction of ints; of NumPy's integers, which overflow, it is refused."""

    def read_at(self, value: Any, place: Place, depth: int) -> Fraction:
        """Return the Fraction."""
        exact = type(value) in (int, Fraction)
        if not exact or not type(value.numerator) is type(value.denominator) is int:
            raise refusal(place, "an integer or a rational", value)
        if max(value.numerator.bit_length(), value.denominator.bit_length()) > MOST_BITS:
            raise refusal(place, f"a number of at most {MOST_BITS} bits", value)
        return Fraction(value.numerator, value.denominator)

    def read_each(self, parts: Sequence[Any], place: Place, depth: int) -> list[Fraction]:
        """Return the Fractions; large matrices hold few others than those that are kept."""
        return [
            _SMALL[value]
            if type(value) is int and value in _SMALL
            else self.read_at(value, (place, number), depth)
            for number, value in enumerate(parts)
        ]


@dataclass(frozen=True)
class Word(Form):
    """One of some words."""

    choices: tuple[str, ...]

    def read_at(self, value: Any, place: Place, depth: int) -> str:
        """Return the word."""
        if type(value) is not str or value not in self.choices:
            raise refusal(place, f"one of {', '.join(self.choices)}", value)
        return value


@dataclass(frozen=True)
class Optional(Form):
    """Something, or None."""

    of: Form

    def read_at(self, value: Any, place: Place, depth: int) -> Any:
        """Return what the form reads, or None."""
        return None if value is None else self.of.read_at(value, place, depth)


def _parts(value: Any, place: Place, depth: int) -> Sequence[Any]:
    """Return a list or a tuple that is not nested too deeply."""
    if type(value) not in (list, tuple):
        raise refusal(place, "a list", value)
    if depth >= DEEPEST:
        raise refusal(place, f"evidence of at most {DEEPEST} levels", value)
    return value


@dataclass(frozen=True)
class List(Form):
    """Any number of parts of one form, or from `least` to `most`; if `distinct`, no two equal."""

    of: Form
    distinct: bool = False
    least: int = 0
    most: int | None = None

    def read_at(self, value: Any, place: Place, depth: int) -> tuple[Any, ...]:
        """Return the parts."""
        parts = _parts(value, place, depth)
        if len(parts) < self.least:
            raise refusal(place, f"a list of at least {self.least}", value)
        if self.most is not None and len(parts) > self.most:
            raise refusal(place, f"a list of at most {self.most}", value)
        result = self.of.read_each(parts, place, depth + 1)
        if self.distinct and len(set(result)) != len(result):
            raise refusal(place, "a list without repetitions", value)
        return tuple(result)


INDEX = Integer()
INDICES = List(INDEX, distinct=True)
"""Places in an array are counted from 0, and a list of them names none twice."""


@dataclass(frozen=True)
class Record(Form):
    """A fixed number of parts, each of its own form."""

    of: tuple[Form, ...]

    def read_at(self, value: Any, place: Place, depth: int) -> tuple[Any, ...]:
        """Return the parts."""
        parts = _parts(value, place, depth)
        if len(parts) != len(self.of):
            raise refusal(place, f"a list of {len(self.of)}", value)
        result = []
        for number, form in enumerate(self.of):
            result.append(form.read_at(parts[number], (place, number), depth + 1))
        return tuple(result)


@dataclass(frozen=True)
class Map(Form):
    """A dict with keys of one form and values of another."""

    key: Form
    value: Form

    def read_at(self, value: Any, place: Place, depth: int) -> Mapping[Any, Any]:
        """Return a view of a dict in the order of the keys, which cannot be written through."""
        if type(value) not in (dict, MappingProxyType):
            raise refusal(place, "a map", value)
        result = {}
        for key, item in value.items():
            inner = (place, brief(key))
            read = self.key.read_at(key, inner, depth)
            result[read] = self.value.read_at(item, inner, depth)
        return MappingProxyType(dict(sorted(result.items())))


class Rule(ABC):
    """What a node reads as: one subclass a rule of a kind of proof, registered by `Node.rule`.

    A subclass is a frozen dataclass that holds all there is of a rule: its form in the decorator,
    what it says, its side conditions and the proof that it is sound in the docstring, its check and
    its words in methods.

    Attributes
    ----------
    rule : str
        The name by which evidence calls it, filled in by `Node.rule`.
    """

    rule: ClassVar[str]


SomeRule = TypeVar("SomeRule", bound=Rule)


@dataclass(frozen=True, eq=False)
class Node(Form):
    """A list whose first part is the name of a rule, which says what the others are.

    Rules are added by `rule`, so that nodes may hold nodes of the same kind. A node that is the
    last part of another is no deeper than that one.
    """

    kind: str
    rules: dict[str, tuple[Callable[..., Rule], tuple[Form, ...]]] = field(default_factory=dict)

    def rule(
        self, name: str, *forms: Form, mirrored: str | None = None
    ) -> Callable[[type[SomeRule]], type[SomeRule]]:
        """Return a decorator of the class that nodes of a rule read as.

        Parameters
        ----------
        name : str
            What stands in front.
        *forms : Form
            Of the parts, which are the fields of the class in their order.
        mirrored : str, optional
            The name of the same rule for the transposed matrices: read with the field `turned`
            True, which comes last and is False by default.
        """

        def register(cls: type[SomeRule]) -> type[SomeRule]:
            cls.rule = name
            made: Callable[..., Rule] = cls
            self.rules[name] = (made, forms)
            if mirrored is not None:
                self.rules[mirrored] = (partial(made, turned=True), forms)
            return cls

        return register

    def read_at(self, value: Any, place: Place, depth: int) -> Any:
        """Return the rule that is named, with its parts."""
        heads: list[tuple[Callable[..., Rule], list[Any]]] = []
        while True:
            parts = _parts(value, place, depth)
            rule = parts[0] if parts else None
            if type(rule) is not str or rule not in self.rules:
                raise refusal(place, f"a {self.kind} ({', '.join(self.rules)})", rule)
            made, forms = self.rules[rule]
            if len(parts) != len(forms) + 1:
                raise refusal(place, f"{len(forms)} parts after {rule!r}", value)
            last = forms[-1] if forms else None
            within = last.of if isinstance(last, Optional) and parts[-1] is not None else last
            follows = within is self
            result: list[Any] = []
            for number, form in enumerate(forms[:-1] if follows else forms, start=1):
                result.append(form.read_at(parts[number], (place, number), depth + 1))
            heads.append((made, result))
            if not follows:
                break
            place, value = (place, len(forms)), parts[-1]
        rest: list[Rule] = []
        for made, result in reversed(heads):
            rest = [made(*result, *rest)]
        return rest[0]

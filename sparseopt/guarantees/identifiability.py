"""What data determine of the parameters of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import index as whole_number
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.guarantees.orbit import Scales, scales
from sparseopt.guarantees.parameters import Parameters, free_masks, parameters
from sparseopt.guarantees.patterns import Pattern, pattern
from sparseopt.guarantees.wires import Wires, wires
from sparseopt.interface.arrays import as_array, read_only, require_finite, to_double, unmasked
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.problem import Problem
from sparseopt.networks.network import Network

VALUES = ("identifiable", "not_identifiable", "unknown")
FIGURES = ("parameters", "orbit", "bound", "rank", "gap", "everywhere")
"""What certificates compare with figures of their own."""


@json_type
@dataclass(frozen=True, eq=False)
class IdentifiabilityVerdict:
    """Whether parameters are locally determined up to rescaling, with the figures behind it.

    Parameters
    ----------
    value : {"identifiable", "not_identifiable", "unknown"}
    parameters : int
        P, the number of free parameters, each shared one counted once.
    orbit : int
        o, the dimension of what positive rescalings do to them.
    bound : int
        P - o, the largest rank that the derivative of the outputs can have.
    rank : int
        The rank that is proved: the derivative, at the regular inputs, has at least this rank.
    gap : int
        ``bound - rank``.
    excluded : tuple of (int, str)
        The inputs that are not regular, with the unit that makes them so: at them the network
        changes its formula, and they are not used.
    directions : tuple of str
        Directions in which the parameters can move without a change of the outputs, in words.
    everywhere : bool or None
        Of one hidden layer: whether no other parameters, however far, have the same function, up
        to the order and rescalings of the units. None: not decided.
    """

    value: str
    parameters: int
    orbit: int
    bound: int
    rank: int
    gap: int
    excluded: tuple[tuple[int, str], ...] = ()
    directions: tuple[str, ...] = ()
    everywhere: bool | None = None

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> IdentifiabilityVerdict:
        """Return what JSON holds; older files say nothing of what is far."""
        return cls(**{"everywhere": None, **fields})

    def __post_init__(self) -> None:
        if self.value not in VALUES or type(self.everywhere) not in (bool, type(None)):
            raise ProblemError(
                f"a verdict is one of {VALUES}, everywhere or not: {self.value!r}, "
                f"{self.everywhere!r}"
            )
        for name in ("parameters", "orbit", "bound", "rank", "gap"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise ProblemError(f"{name} must be an integer, got a {type(value).__name__}")
            object.__setattr__(self, name, int(value))
        pairs = tuple((whole_number(index), str(unit)) for index, unit in self.excluded)
        object.__setattr__(self, "excluded", pairs)
        object.__setattr__(self, "directions", tuple(map(str, self.directions)))

    def __str__(self) -> str:
        far = {None: "", True: ", everywhere", False: ", not everywhere"}[self.everywhere]
        return (
            f"{self.value}{far}: {self.parameters} parameters, orbit {self.orbit}, rank "
            f"{self.rank} of {self.bound}"
        )


@json_type
@dataclass(frozen=True, eq=False)
class Identifiability(Problem[IdentifiabilityVerdict, Any]):
    """Do the outputs at these inputs determine the parameters, locally and up to rescaling?

    Parameters
    ----------
    network : Network
    inputs : array, shape (n, *input_shape), or None
        float32 or float64; None: inputs are searched.
    free : mapping from name to array of 0 and 1, or None
        By names as in ``network.parameters()``, which entries may move. What is not named: the
        weights that are not zero, and every bias; factors of entrywise scales (such as batch
        normalizations) are constants.

    Raises
    ------
    ProblemError
        For inputs of another shape, dtype or number, with NaN or infinity by place, and for masks
        that do not fit.

    Notes
    -----
    Identifiable: for parameters near the given ones, with the same entries free, equal outputs at
    the inputs imply that they differ by a positive rescaling of hidden neurons. That is local, for
    exact outputs, and says nothing of noise. It holds if the derivative of the outputs by the
    parameters has the rank P - o. The rank is proved modulo a prime, the signs of all ReLUs
    exactly. A smaller rank alone proves nothing; "not identifiable" rests on other networks with
    exactly the same outputs. Neurons that hold 0 whatever the free parameters are tie no others.

    Sources: Bona-Pellissier, Malgouyres, Bachoc, arXiv 2206.07424; Stock, Gribonval, arXiv
    2107.09370; proofs in ``docs/identifiability.md``.

    Examples
    --------
    >>> import numpy as np
    >>> import sparseopt as so
    >>> from sparseopt.networks import Dense, Relu, chain
    >>> first, last = Dense([[1.0, 2.0]], [0.5]), Dense([[3.0]], [1.0])
    >>> network = chain((2,), first, Relu(), last)
    >>> inputs = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 0.0]]
    >>> answer = so.solve(so.Identifiability(network, inputs)).answer
    >>> answer.value, answer.parameters, answer.orbit, answer.rank
    ('identifiable', 5, 1, 4)
    """

    network: Network
    inputs: np.ndarray | None = None
    free: Mapping[str, np.ndarray] | None = None
    accuracy_is: ClassVar[str] = "0, proofs are exact"

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self,
            network: Network,
            inputs: ArrayLike | None = None,
            free: Mapping[str, ArrayLike] | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        if not isinstance(self.network, Network):
            raise ProblemError(
                f"network is a {type(self.network).__name__}; make a Network with so.load_network"
            )
        masks = self.masks
        if self.free is not None:
            kept = {name: read_only(masks[name]) for name in self.free if name in masks}
            object.__setattr__(self, "free", kept)
        if self.inputs is not None:
            object.__setattr__(self, "inputs", _samples(self.inputs, self.network.input_shape))
        if not self.parameters.count:
            raise ProblemError("the network has no free parameter; free= can free zeros")

    @cached_property
    def masks(self) -> dict[str, np.ndarray]:
        """Which entries of each array are free."""
        return free_masks(self.network, self.free)

    @cached_property
    def parameters(self) -> Parameters:
        """The free parameters."""
        return parameters(self.network, self.masks)

    @cached_property
    def wires(self) -> Wires:
        """The network as neurons."""
        return wires(self.network, self.parameters)

    @cached_property
    def scales(self) -> Scales:
        """The neurons by their factors."""
        return scales(self.wires)

    @cached_property
    def orbit(self) -> int:
        """The dimension of the rescalings."""
        return self.scales.dimension(~self.wires.is_zero[self.parameters.first])

    @property
    def bound(self) -> int:
        """The largest rank that is possible."""
        return self.parameters.count - self.orbit

    @cached_property
    def pattern(self) -> Pattern:
        """What is active at the given inputs."""
        assert self.inputs is not None
        return self.pattern_at(self.inputs)

    def flat(self, inputs: np.ndarray) -> np.ndarray:
        """Return inputs as float64 rows."""
        return inputs.reshape(len(inputs), self.wires.inputs).astype(np.float64)

    def pattern_at(self, inputs: np.ndarray) -> Pattern:
        """Return what is active at some inputs."""
        return pattern(self.wires, self.flat(inputs))

    @cached_property
    def excluded(self) -> tuple[tuple[int, str], ...]:
        """The given inputs that are not regular, with the unit that makes them so."""
        if self.inputs is None:
            return ()
        found = sorted(self.pattern.irregular.items())
        return tuple((index, self.wires.words(neuron)) for index, neuron in found)

    def verdict(
        self,
        value: str,
        rank: int,
        directions: Sequence[str] = (),
        everywhere: bool | None = None,
    ) -> IdentifiabilityVerdict:
        """Return the answer with this rank."""
        figures = (self.parameters.count, self.orbit, self.bound, rank, self.bound - rank)
        return IdentifiabilityVerdict(value, *figures, self.excluded, tuple(directions), everywhere)

    def evaluate(self, answer: IdentifiabilityVerdict) -> Mapping[str, float]:
        """Return the gap of the rank."""
        return {"gap": float(self.bound - answer.rank)}

    def describe(self) -> str:
        """Name the network and the inputs."""
        where = "inputs to be found" if self.inputs is None else f"{len(self.inputs)} inputs"
        return f"identifiability of a {self.network.describe()} from {where}"

    def undecided(self, tried: Sequence[str]) -> IdentifiabilityVerdict:
        """Return "unknown"."""
        return self.verdict("unknown", 0)


def _samples(value: Any, shape: tuple[int, ...]) -> np.ndarray:
    value = unmasked(value, "inputs")
    array = as_array(value, "inputs")
    if array.dtype.kind in "biu":
        array = to_double(array, "inputs")
    if array.dtype not in (np.float32, np.float64):
        raise ProblemError(f"inputs have dtype {array.dtype}; convert them to float32 or float64")
    if array.shape[1:] != shape or not len(array):
        raise ProblemError(
            f"inputs have shape {array.shape}; this network takes (n, "
            f"{', '.join(map(str, shape))}), n at least 1"
        )
    require_finite(array, "inputs")
    return read_only(array)

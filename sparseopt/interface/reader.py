"""A Reader turns a file or a foreign object into a subject that problems and analyzers take."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar

from sparseopt.interface.errors import ProblemError


class Reader(ABC):
    """Reads one kind of source. Subclasses are frozen dataclasses that hold only settings.

    A reader of files that can write them defines `save` and `tensors`, for files like the one that
    it is given, and `put`, for new ones. One that makes objects of networks defines `make`. One of
    objects that can be changed in place says so by `writes`, and defines `multiply`, `mask` and
    `assign`.

    Law: `read` returns an object that means exactly what the source means, or raises
    `ProblemError` naming the place that it cannot represent; it never guesses.
    """

    writes: ClassVar[bool] = False

    @abstractmethod
    def read(self, source: Any, example: Any = None) -> Any:
        """Return the subject that `source` (a path or an object) describes.

        `example` is an example input, for sources that do not fix their input shape. A reader of
        sources with several outputs may also take ``outputs``, the names or places of those to
        read, and ``until``, the name of the node to end at; one that takes long may take
        ``progress``, a function of a fraction and a message, see `Context`.
        """

    def files_beside(self, source: Any) -> list[str]:
        """Return the other files that hold parts of a file `source`."""
        return []

    def multiply(self, source: Any, factors: Mapping[str, Any]) -> Callable[[], None]:
        """Multiply tensors of `source` in place; return what undoes it.

        `factors` maps names of tensors to arrays of as many entries, or that broadcast to them.
        """
        raise ProblemError(f"{type(self).__name__} cannot change its sources in place")

    def save(
        self,
        source: Any,
        tensors: Mapping[str, Any],
        path: str,
        biases: Mapping[str, Any] | None = None,
    ) -> None:
        """Write `source` to a file of its own kind, with other values in some of its tensors.

        `tensors` maps names to arrays of as many entries, which keep the shape that is there, or
        to smaller arrays of as many axes. The normalizations that `biases` names, by their layers,
        only add these from then on.
        """
        raise ProblemError(f"{type(self).__name__} writes no files")

    def tensors(self, source: Any, names: Collection[str]) -> dict[str, Any]:
        """Return tensors of `source`, as they stand there, by name."""
        raise ProblemError(f"{type(self).__name__} writes no files")

    def make(self, subject: Any, **options: Any) -> Any:
        """Return a model of the reader's own kind that computes what `subject` does."""
        raise ProblemError(f"{type(self).__name__} makes no models")

    def put(self, subject: Any, path: str) -> None:
        """Write `subject` to a new file of the reader's own kind, compared with other software."""
        raise ProblemError(f"{type(self).__name__} writes no files")

    def mask(self, source: Any, masks: Mapping[str, Any]) -> None:
        """Set entries of tensors of `source` to zero, for good: where a mask is False."""
        raise ProblemError(f"{type(self).__name__} cannot change its sources in place")

    def assign(
        self, source: Any, tensors: Mapping[str, Any], merged: Sequence[str]
    ) -> Callable[[], None]:
        """Give tensors of `source` other values in place; return what undoes it.

        `tensors` maps names to arrays of as many entries; a bias that a layer can have, and has
        not, is made. The normalizations named in `merged` do nothing from then on.
        """
        raise ProblemError(f"{type(self).__name__} cannot change its sources in place")

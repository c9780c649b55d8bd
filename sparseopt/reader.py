"""A Reader turns a file or a foreign object into a subject that problems and analyzers take."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class Reader(ABC):
    """Reads one kind of source. Subclasses are frozen dataclasses that hold only settings.

    Law: `read` returns an object that means exactly what the source means, or raises
    `ProblemError` naming the place that it cannot represent; it never guesses.
    """

    @abstractmethod
    def read(self, source: Any, example: Any = None) -> Any:
        """Return the subject that `source` (a path or an object) describes.

        `example` is an example input, for sources that do not fix their input shape.
        """

"""Arrays in files, sound and damaged."""

from __future__ import annotations

from typing import Any

import pytest

import sparseopt as so


def refused(function: Any, *arguments: Any) -> str:
    with pytest.raises(so.ProblemError) as caught:
        function(*arguments)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 700
    return message

"""Parses ONNX models, whose fields are counted before anything is made of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.judging import limits

_DEEPEST = 100


def parse(content: bytes, name: str) -> onnx.ModelProto:
    """Return the model.

    Raises
    ------
    ProblemError
        For other files, for too many or too deep parts, and for texts that are not UTF-8.
    """
    model = onnx.ModelProto()
    try:
        _count_fields(content, 0, len(content), model.DESCRIPTOR, 0, _DEEPEST)
        model.ParseFromString(content)
    except (DecodeError, IndexError, RecursionError) as error:
        raise so.ProblemError(
            f"{name} is not an ONNX file, or is cut short; export it again"
        ) from error
    except so.ProblemError as error:
        raise so.ProblemError(f"{name} cannot be read: {error}") from error
    return model


def _count_fields(
    content: bytes, place: int, end: int, message: Any, count: int, depth: int
) -> int:
    """Return `count` plus the fields of the message between two places, those of parts included.

    Walks the wire format, https://protobuf.dev/programming-guides/encoding, without allocating;
    numbers are skipped. `ProblemError` above the limit.
    """
    if depth == 0:
        raise so.ProblemError("its parts are nested too deeply")
    parts, texts = _kinds(message)
    while place < end:
        count += 1
        tag, place = _varint(content, place)
        kind = tag & 7
        if kind == _BYTES:
            size, place = _varint(content, place)
            part = parts.get(tag >> 3)
            if part is not None:
                stop = min(place + size, end)
                count = _count_fields(content, place, stop, part, count, depth - 1)
            elif tag >> 3 in texts:
                _require_text(content[place : place + size])
            place += size
        elif kind == _NUMBER:
            _, place = _varint(content, place)
        elif kind in _FIXED:
            place += _FIXED[kind]
        else:  # groups, which ONNX does not have
            raise DecodeError("unknown wire type")
        if count > limits.MESSAGES:
            raise so.ProblemError(f"it has more than {limits.MESSAGES} fields")
    return count


@cache
def _kinds(message: Any) -> tuple[dict[int, Any], set[int]]:
    """Return the types of the fields of a message that are messages, and which ones are texts."""
    parts = {f.number: f.message_type for f in message.fields if f.message_type is not None}
    return parts, {f.number for f in message.fields if f.type == f.TYPE_STRING}


def _require_text(content: bytes) -> None:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise so.ProblemError(
            f"the text {printable(repr(content[:40]))} in it is not UTF-8; the file is damaged"
        ) from error


_NUMBER, _BYTES, _FIXED = 0, 2, {1: 8, 5: 4}


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """Return the number at a place, and the place after it; `IndexError` at the end."""
    number = content[place]
    place += 1
    if number < 128:
        return number, place
    number &= 127
    for shift in range(7, 70, 7):
        byte = content[place]
        place += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place
    raise DecodeError("a number is too long")

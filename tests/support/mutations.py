"""Random changes of files: of bytes, of protocol buffers, of JSON."""

from __future__ import annotations

import copy
import random
from typing import Any

INTEGERS = [0, 1, 2, 3, 5, 7, -1, -2, 64, 127, 255, 1 << 15, 1 << 20, (1 << 31) - 1, 1 << 32,
            1 << 40, (1 << 62), (1 << 63) - 1, -(1 << 63)]  # fmt: skip
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 1e38, 1e300, float("inf"), float("-inf"), float("nan")]


def bytes_of(content: bytes, rng: random.Random) -> bytes:
    """Change, drop, repeat and insert stretches of bytes."""
    made = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        place = rng.randrange(len(made) + 1)
        length = min(rng.choice([1, 1, 1, 2, 4, 8, 64, 1000]), len(made) - place)
        kind = rng.randrange(5)
        if kind == 0 and length:
            made[place : place + length] = rng.randbytes(length)
        elif kind == 1:
            del made[place : place + length]
        elif kind == 2:
            made[place:place] = made[place : place + length]
        elif kind == 3 and length:
            made[place] ^= 1 << rng.randrange(8)
        else:
            made[place:place] = rng.choice([b"\0", b"\xff" * 8, b"\x7f", b"\x80" * 9, b"-1"])
    return bytes(made[: rng.choice([len(made), len(made), rng.randrange(len(made) + 1)])])


def message(root: Any, rng: random.Random, words: list[str]) -> None:
    """Change fields of a message, or of one inside it; `words` are what texts may become."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        place = root
        while True:
            parts = [
                (field, value)
                for field, value in place.ListFields()
                if field.message_type is not None
            ]
            if not parts or rng.random() < 0.25:
                break
            field, value = rng.choice(parts)
            place = rng.choice(list(value)) if field.is_repeated and len(value) else value
            if field.is_repeated and not len(value):
                place = root
                break
        _change(place, rng, words)


def _change(place: Any, rng: random.Random, words: list[str]) -> None:
    fields = place.DESCRIPTOR.fields
    filled = [field for field, _ in place.ListFields()]
    field = rng.choice(filled if filled and rng.random() < 0.8 else fields)
    name = field.name
    if rng.random() < 0.1:
        place.ClearField(name)
        return
    if field.is_repeated:
        _change_list(place, field, rng, words)
    elif field.message_type is not None:
        part = getattr(place, name)
        if rng.random() < 0.3:
            place.ClearField(name)
        else:
            part.SetInParent()
    else:
        _set(place, name, _scalar(field, rng, words))


def _change_list(place: Any, field: Any, rng: random.Random, words: list[str]) -> None:
    items = getattr(place, field.name)
    kind = rng.randrange(4)
    if len(items) and kind == 0:
        del items[rng.randrange(len(items))]
    elif field.message_type is not None:
        if len(items) and kind == 1:
            items.add().CopyFrom(items[rng.randrange(len(items))])
        elif len(items) > 1 and kind == 2:
            i, j = rng.sample(range(len(items)), 2)
            held = copy.deepcopy(items[i])
            items[i].CopyFrom(items[j])
            items[j].CopyFrom(held)
        else:
            items.add()
    else:
        try:
            value = _scalar(field, rng, words)
            if len(items) and kind != 1:
                items[rng.randrange(len(items))] = value
            else:
                items.append(value)
        except (ValueError, TypeError):  # a number that the field cannot hold
            return


def _set(place: Any, name: str, value: Any) -> None:
    try:
        setattr(place, name, value)
    except (ValueError, TypeError):  # a number that the field cannot hold
        return


def _scalar(field: Any, rng: random.Random, words: list[str]) -> Any:
    kind = field.cpp_type
    if kind in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return rng.choice(FLOATS)
    if kind == field.CPPTYPE_ENUM:
        return rng.choice([*field.enum_type.values_by_number, 99])
    if kind == field.CPPTYPE_STRING:
        word = rng.choice(words)
        return word.encode() if field.type == field.TYPE_BYTES else word
    return rng.choice(INTEGERS)


def document(root: Any, rng: random.Random, words: list[str]) -> Any:
    """Return a JSON document with a few of its parts changed."""
    root = copy.deepcopy(root)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        place = root
        while rng.random() < 0.9:
            parts = [v for v in _items(place) if isinstance(v, dict | list) and v]
            if not parts:
                break
            place = rng.choice(parts)
        if place:
            _change_part(place, rng, words)
    return root


def _items(place: Any) -> list[Any]:
    return list(place.values()) if isinstance(place, dict) else place


def _change_part(place: Any, rng: random.Random, words: list[str]) -> None:
    key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
    kind = rng.randrange(6)
    if kind == 0:
        del place[key]
    elif kind == 1 and isinstance(place, list):
        place.insert(rng.randrange(len(place) + 1), copy.deepcopy(place[key]))
    elif kind == 2 and isinstance(place, dict):
        place[rng.choice(words)] = place.pop(key)
    elif kind == 3:
        place[key] = copy.deepcopy(rng.choice(_items(place)))
    else:
        place[key] = rng.choice([
            None, True, False, [], {}, "", rng.choice(INTEGERS), rng.choice(FLOATS),
            rng.choice(words), [rng.choice(INTEGERS)] * 3, {rng.choice(words): rng.choice(words)},
        ])  # fmt: skip

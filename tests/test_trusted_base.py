"""What a verdict rests on: the lines that run when certificates of a kind are judged.

To see the table: ``python -m pytest -q -s tests/test_trusted_base.py``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import forgeries_closedness
import forgeries_factorization
import forgeries_paths
import forgeries_regression
import pytest
from trusted_lines import Lines, judged_lines

import sparseopt as so
from sparseopt.judging.json_types import HOMES

MOST_OF_A_KIND = 900
MOST_IN_ALL = 4500
KINDS = sorted(name for name in HOMES if name.endswith("Certificate"))


def certificates() -> Iterator[so.Certificate]:
    """Yield certificates of every kind that must be accepted."""
    for bank in (
        forgeries_closedness,
        forgeries_factorization,
        forgeries_paths,
        forgeries_regression,
    ):
        for _, found in bank.honest():
            if isinstance(found, so.Certificate):
                yield found


@pytest.fixture(scope="module")
def ran() -> dict[str, list[Lines]]:
    """For each kind the lines that ran, certificate by certificate."""
    found: dict[str, list[Lines]] = defaultdict(list)
    for certificate in certificates():
        if not isinstance(certificate, so.ExternalExclusionCertificate):
            found[type(certificate).__name__].append(judged_lines(so.to_json(certificate)))
    return found


def count(lines: Lines) -> int:
    return sum(map(len, lines.values()))


def union(parts: list[Lines]) -> Lines:
    joined: dict[str, set[int]] = defaultdict(set)
    for part in parts:
        for file, lines in part.items():
            joined[file] |= lines
    return joined


def test_table(ran: dict[str, list[Lines]]) -> None:
    print("\nlines of code that run: by a certificate (median), by all of its kind, in files")
    for kind in KINDS:
        one = sorted(map(count, ran[kind]))
        if one:
            whole = union(ran[kind])
            print(f"{kind:32} {one[len(one) // 2]:5} {count(whole):5} {len(whole):4} {len(one):4}")
    whole = union([part for parts in ran.values() for part in parts])
    rooms = Counter({file: len(lines) for file, lines in whole.items()})
    print(f"{'all kinds':32} {count(whole):11} {len(whole):4}")
    for file, lines in rooms.most_common(70):
        print(f"   {file:50} {lines}")

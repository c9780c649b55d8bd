"""What this plugin offers; data only."""

from sparseopt.choosing.manifest import Manifest, SolverEntry
from sparseopt.interface.verdict import Guarantee

_RANK_ONE = "sparseopt:RankOneQuantization"
_SURVEY = (
    "Gribonval, Mary, Riccietti 2023 (hal-04125381): optimal quantization of rank-one matrices"
)
_NUMBA = {"numba": "compiled passes; without it large vectors take longer"}

MANIFEST = Manifest(
    name="quantization",
    api=1,
    summary="Rank-one terms and Kronecker-sparse products in numbers of few bits",
    solvers=(
        SolverEntry(
            name="difference_constraints",
            path="sparseopt_quantization.difference_constraints:DifferenceConstraints",
            problem="sparseopt:ExponentFitting",
            guarantee=Guarantee.EXACT,
            summary="powers of two between factors by shortest paths, or a cycle of misfits",
            citations=(
                "Bellman 1958; Ford 1956: shortest paths with negative weights",
                "Cormen, Leiserson, Rivest, Stein 2022, section 22.4: difference constraints",
            ),
        ),
        SolverEntry(
            name="rank_one_exact",
            path="sparseopt_quantization.rank_one_exact:RankOneExact",
            problem=_RANK_ONE,
            guarantee=Guarantee.EXACT,
            summary="all pieces of both vectors in order, two entries by a continued fraction",
            citations=(_SURVEY, "Graham, Knuth, Patashnik 1994: the Stern-Brocot tree"),
            helped_by=_NUMBA,
        ),
    ),
)

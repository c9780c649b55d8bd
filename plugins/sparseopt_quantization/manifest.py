"""What this plugin offers; data only."""

from sparseopt.choosing.manifest import Manifest, SolverEntry
from sparseopt.interface.verdict import Guarantee

_RANK_ONE = "sparseopt:RankOneQuantization"
_SURVEY = (
    "Gribonval, Mary, Riccietti 2023 (hal-04125381): optimal quantization of rank-one matrices"
)
_PRODUCT = "sparseopt:ProductQuantization"
_NUMBA = {"numba": "large vectors take longer; remedy: pip install 'sparseopt[quantization]'"}

MANIFEST = Manifest(
    name="quantization",
    api=1,
    summary="Rank-one terms and Kronecker-sparse products in numbers of few bits",
    solvers=(
        SolverEntry(
            name="two_factors",
            path="sparseopt_quantization.two_factors:TwoFactors",
            problem=_PRODUCT,
            guarantee=Guarantee.EXACT,
            summary="two factors, each term as well as can be, with the proof of it",
            citations=(_SURVEY,),
            helped_by=_NUMBA,
        ),
        SolverEntry(
            name="swept",
            path="sparseopt_quantization.swept:Swept",
            problem=_PRODUCT,
            guarantee=Guarantee.CERTIFIED,
            summary="weighted, looking ahead, then sweeps over pairs: the least error",
            citations=(_SURVEY,),
            helped_by=_NUMBA,
        ),
        SolverEntry(
            name="pairwise",
            path="sparseopt_quantization.pairwise:Pairwise",
            problem=_PRODUCT,
            guarantee=Guarantee.HEURISTIC,
            summary="factors two by two, the last three of an odd chain together",
            citations=(_SURVEY,),
            helped_by=_NUMBA,
        ),
        SolverEntry(
            name="left_to_right",
            path="sparseopt_quantization.left_to_right:LeftToRight",
            problem=_PRODUCT,
            guarantee=Guarantee.HEURISTIC,
            summary="factor by factor, by continued fractions, losses passed on to the next",
            citations=(_SURVEY,),
            helped_by=_NUMBA,
        ),
        SolverEntry(
            name="right_to_left",
            path="sparseopt_quantization.right_to_left:RightToLeft",
            problem=_PRODUCT,
            guarantee=Guarantee.HEURISTIC,
            summary="the same from the other end",
            citations=(_SURVEY,),
            helped_by=_NUMBA,
        ),
        SolverEntry(
            name="nearest",
            path="sparseopt_quantization.nearest:Nearest",
            problem=_PRODUCT,
            guarantee=Guarantee.HEURISTIC,
            summary="each value to nearest: the baseline; takes all architectures",
            citations=("IEEE 754-2019, section 4.3",),
        ),
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
        SolverEntry(
            name="rank_one_complex",
            path="sparseopt_quantization.rank_one_complex:RankOneComplex",
            problem=_RANK_ONE,
            guarantee=Guarantee.HEURISTIC,
            summary="complex vectors by parts, for many arguments of the factor between them",
            citations=(_SURVEY, "Chaumette et al. 2026 (hal-05520926): CROQuant, complex vectors"),
            helped_by=_NUMBA,
        ),
    ),
)

"""What this plugin offers; data only."""

from sparseopt.choosing.manifest import (
    AnalyzerEntry,
    Manifest,
    OutsiderEntry,
    ReaderEntry,
    SolverEntry,
)
from sparseopt.interface.verdict import Guarantee

_IDENTITIES = {
    "sympy": "proofs by polynomial identities are left out; remedy: pip install "
    "'sparseopt[closedness]'"
}

_COMPILED = {
    "numba": "searches for repairs only put entries back, and bounds take longer; remedy: pip "
    "install 'sparseopt[closedness]'"
}

MANIFEST = Manifest(
    name="closedness",
    api=1,
    summary="Whether sets of products with fixed supports are closed, with proofs",
    solvers=(
        SolverEntry(
            name="comparable_rectangles",
            path="sparseopt_closedness.comparable_rectangles:ComparableRectangles",
            problem="sparseopt:Closedness",
            guarantee=Guarantee.EXACT,
            summary="closed: any two rectangles are disjoint or comparable",
            citations=("arXiv:2112.00386",),
            structure={"factors": (1, 2)},
            priority=1,
        ),
        SolverEntry(
            name="lu_pattern",
            path="sparseopt_closedness.lu_pattern:LUPattern",
            problem="sparseopt:Closedness",
            guarantee=Guarantee.EXACT,
            summary="not closed: an LU window, of entries or of equal blocks",
            citations=("arXiv:2306.02666",),
            structure={"factors": (2,)},
        ),
        SolverEntry(
            name="matched_curves",
            path="sparseopt_closedness.matched_curves:MatchedCurves",
            problem="sparseopt:Closedness",
            guarantee=Guarantee.EXACT,
            summary="not closed: a curve put together from matchings, whose limit needs more terms",
            citations=("arXiv:2306.02666",),
            structure={"factors": (2,)},
        ),
        SolverEntry(
            name="blocked_windows",
            path="sparseopt_closedness.blocked_windows:BlockedWindows",
            problem="sparseopt:Closedness",
            guarantee=Guarantee.EXACT,
            summary="not closed: an LU window whose further terms are blocked by single cells",
            citations=("arXiv:2306.02666",),
            helped_by=_COMPILED,
            structure={"factors": (2,)},
        ),
        SolverEntry(
            name="null_points",
            path="sparseopt_closedness.null_point_verdicts:NullPoints",
            problem="sparseopt:Closedness",
            guarantee=Guarantee.EXACT,
            summary="closed: the product is a submersion at a point where it is zero",
            citations=("arXiv:2306.02666",),
            structure={"factors": (2,)},
        ),
        SolverEntry(
            name="reduction",
            path="sparseopt_closedness.reduction:Reduction",
            problem="sparseopt:Closedness",
            guarantee=Guarantee.EXACT,
            summary="closed: free families are removed until closed parts are left",
            citations=("arXiv:2306.02666",),
            structure={"factors": (2,)},
        ),
        SolverEntry(
            name="limit_curves",
            path="sparseopt_closedness.limit_curves:LimitCurves",
            problem="sparseopt:Closedness",
            guarantee=Guarantee.EXACT,
            summary="reductions, then windows, sub-supports and curves on what is left",
            citations=("arXiv:2306.02666",),
            helped_by=_IDENTITIES,
            structure={"factors": (2,)},
        ),
        SolverEntry(
            name="external_exclusion",
            path="sparseopt_closedness.external_exclusion:ExternalExclusion",
            problem="sparseopt:Closedness",
            guarantee=Guarantee.HEURISTIC,
            summary="not closed if z3 is right that a limit is not a product; off unless allowed",
            citations=("arXiv:2306.02666",),
            requires=("z3",),
            remedy="pip install 'sparseopt[smt]'",
            helped_by=_IDENTITIES,
            structure={"factors": (2,)},
        ),
        SolverEntry(
            name="chain_reduction",
            path="sparseopt_closedness.chain_reduction:ChainReduction",
            problem="sparseopt:Closedness",
            guarantee=Guarantee.EXACT,
            summary="chains that are Kronecker-sparse and chainable, or shorten to two factors",
            citations=("arXiv:2411.04506",),
        ),
        SolverEntry(
            name="chain_curves",
            path="sparseopt_closedness.chain_curves:ChainCurves",
            problem="sparseopt:Closedness",
            guarantee=Guarantee.EXACT,
            summary="not closed: matched curves of two neighbours in a chain",
            citations=("arXiv:2306.02666",),
        ),
        SolverEntry(
            name="peeled_chains",
            path="sparseopt_closedness.peeled_chains:PeeledChains",
            problem="sparseopt:Closedness",
            guarantee=Guarantee.EXACT,
            summary="closed: factors are peeled off at either end of a chain",
            citations=("arXiv:2112.00386",),
        ),
        SolverEntry(
            name="window_repair",
            path="sparseopt_closedness.nearest_closed:WindowRepair",
            problem="sparseopt:NearestClosedSupport",
            guarantee=Guarantee.CERTIFIED,
            summary="closed supports by few changes of entries, with a lower bound",
            citations=("arXiv:2306.02666",),
            helped_by=_COMPILED,
        ),
        SolverEntry(
            name="opposite_targets",
            path="sparseopt_closedness.opposite_targets:OppositeTargets",
            problem="sparseopt:SparseTraining",
            guarantee=Guarantee.EXACT,
            summary="data without optimum: targets that need every hidden unit, two opposite",
            citations=("arXiv:2306.02666",),
            priority=1,
        ),
        SolverEntry(
            name="training_conditions",
            path="sparseopt_closedness.training_conditions:TrainingConditions",
            problem="sparseopt:SparseTraining",
            guarantee=Guarantee.EXACT,
            summary="hidden units that feed one unit each, or closedness of the supports",
            citations=("arXiv:2306.02666",),
        ),
    ),
    analyzers=(
        AnalyzerEntry(
            name="chain_closedness",
            path="sparseopt_closedness.chain_closedness:ChainClosedness",
            subject="sparseopt:Closedness",
            summary="verdict, proof and picture for a chain of supports",
            citations=("arXiv:2306.02666",),
            rules={
                "supports-closed": "ok: the set of products with these supports is closed",
                "supports-not-closed": "warning: products approach matrices that they never reach",
                "supports-unknown": "info: no solver could decide in the time given",
                "limit-curve": "info: the curve of the proof, from t = 1 on",
                "weight-growth": "info: what numerical fits hint at beside an unknown, no verdict",
            },
        ),
    ),
    readers=(
        ReaderEntry(
            name="supports_file",
            path="sparseopt_closedness.supports_file:SupportsFile",
            produces="sparseopt:Closedness",
            summary="chains of supports from JSON files and files of matrices",
            suffixes=(".json", ".npy", ".npz", ".mtx", ".csv", ".mat"),
        ),
    ),
    outsiders=(
        OutsiderEntry(
            name="z3",
            path="sparseopt_closedness.external_exclusion:is_unsatisfiable",
            summary="whether an SMT-LIB formula has no solution",
            requires=("z3",),
            remedy="pip install 'sparseopt[smt]'",
        ),
    ),
)

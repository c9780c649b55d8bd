"""What this plugin offers; data only."""

from sparseopt.manifest import Manifest, SolverEntry, ToolEntry
from sparseopt.verdict import Guarantee

MANIFEST = Manifest(
    name="kronecker",
    api=1,
    summary="Butterfly and fixed-support factorization",
    solvers=(
        SolverEntry(
            name="hierarchical_numpy",
            path="sparseopt_kronecker.hierarchical_numpy:HierarchicalNumpy",
            problem="sparseopt:ButterflyFactorization",
            guarantee=Guarantee.CERTIFIED,
            summary="left to right by batched SVD; any chainable architecture",
            citations=("arXiv:2411.04506",),
            structure={"permutations": ("known",)},
        ),
        SolverEntry(
            name="butterfly_alternating",
            path="sparseopt_kronecker.butterfly_alternating:ButterflyAlternating",
            problem="sparseopt:ButterflyFactorization",
            guarantee=Guarantee.HEURISTIC,
            summary="exact least squares for one factor at a time, also to refine factors",
            citations=("Holtz, Rohwedder, Schneider, SIAM J. Sci. Comput. 34(2), 2012",),
            structure={"permutations": ("known",)},
        ),
        SolverEntry(
            name="butterfly_adam",
            path="sparseopt_kronecker.butterfly_adam:ButterflyAdam",
            problem="sparseopt:ButterflyFactorization",
            guarantee=Guarantee.HEURISTIC,
            summary="Adam on all factors at once, with restarts",
            citations=("arXiv:1412.6980", "arXiv:1903.05895"),
            requires=("torch",),
            remedy="pip install 'sparseopt[kronecker]'",
            structure={"permutations": ("known",)},
        ),
        SolverEntry(
            name="permuted_hierarchical",
            path="sparseopt_kronecker.permuted_hierarchical:PermutedHierarchical",
            problem="sparseopt:ButterflyFactorization",
            guarantee=Guarantee.HEURISTIC,
            summary="finds unknown orders of rows and columns, then factorizes",
            citations=("arXiv:2411.04506", "GRETSI 2023, Zheng, Le, Riccietti, Gribonval"),
            structure={"permutations": ("unknown",)},
        ),
        SolverEntry(
            name="block_svd",
            path="sparseopt_kronecker.fixed_support_blocks:BlockSVD",
            problem="sparseopt:FixedSupportFactorization",
            guarantee=Guarantee.EXACT,
            summary="one truncated SVD per block, for disjoint or identical rectangles",
            citations=("arXiv:2112.00386",),
            structure={"tractable": (True,)},
        ),
        SolverEntry(
            name="alternating_least_squares",
            path="sparseopt_kronecker.fixed_support_descent:AlternatingLeastSquares",
            problem="sparseopt:FixedSupportFactorization",
            guarantee=Guarantee.HEURISTIC,
            summary="one factor at a time, with restarts; notices a valley at infinity",
            citations=("arXiv:2112.00386",),
        ),
        SolverEntry(
            name="gradient_descent",
            path="sparseopt_kronecker.fixed_support_descent:GradientDescent",
            problem="sparseopt:FixedSupportFactorization",
            guarantee=Guarantee.HEURISTIC,
            summary="L-BFGS on the entries inside the supports, with restarts",
            citations=("arXiv:2112.00386",),
        ),
    ),
    tools=(
        ToolEntry(
            name="compress",
            path="sparseopt_kronecker.compression:compress",
            summary="replaces linear layers of a torch model by Kronecker-sparse ones",
            requires=("torch",),
            remedy="pip install 'sparseopt[kronecker]'",
        ),
        ToolEntry(
            name="KroneckerLinear",
            path="sparseopt_kronecker.kronecker_linear:KroneckerLinear",
            summary="torch layer whose weight is a product of Kronecker-sparse factors",
            requires=("torch",),
            remedy="pip install 'sparseopt[kronecker]'",
        ),
    ),
)

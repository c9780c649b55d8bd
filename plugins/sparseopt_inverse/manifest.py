"""What this plugin offers; data only."""

from sparseopt.choosing.manifest import Manifest, SolverEntry
from sparseopt.interface.verdict import Guarantee

_REGRESSION = "sparseopt:SparseRegression"
_SUPPORT = "sparseopt:KnownSupportRegression"
_PURSUIT = "sparseopt:BasisPursuit"
_BALL = "sparseopt:ConstrainedRegression"
_ROOT = "sparseopt:SquareRootLasso"
_SUBSET = "sparseopt:CardinalityRegression"
_REMEDY = "pip install 'sparseopt[inverse]'"
_RECOVERY = "sparseopt:RecoveryGuarantee"
_BLIND = "sparseopt:BlindDeconvolution"
_GAP_SAFE = "Ndiaye, Fercoq, Gramfort, Salmon 2017 (arXiv:1611.05780): gap-safe screening"

MANIFEST = Manifest(
    name="inverse",
    api=1,
    former_names=("convex",),
    summary="sparse regression with a proven duality gap and exact zeros",
    solvers=(
        SolverEntry(
            name="working_set",
            path="sparseopt_inverse.working_set:WorkingSet",
            problem=_REGRESSION,
            guarantee=Guarantee.CERTIFIED,
            summary="working sets with Newton steps in NumPy; L1 and GroupL1",
            citations=(
                "Massias, Gramfort, Salmon 2018 (arXiv:1802.07481): working sets by duality gap",
                "Lee, Battle, Raina, Ng 2007: feature-sign search",
                _GAP_SAFE,
            ),
        ),
        SolverEntry(
            name="scikit_learn",
            path="sparseopt_inverse.scikit_learn:ScikitLearn",
            problem=_REGRESSION,
            guarantee=Guarantee.CERTIFIED,
            summary="scikit-learn's coordinate descent, refined; L1",
            citations=("Friedman, Hastie, Tibshirani 2010: coordinate descent", _GAP_SAFE),
            requires=("sklearn",),
            remedy=_REMEDY,
            structure={"penalty": ("L1",)},
        ),
        SolverEntry(
            name="cvxpy",
            path="sparseopt_inverse.conic:Cvxpy",
            problem=_REGRESSION,
            guarantee=Guarantee.CERTIFIED,
            summary="any conic solver of cvxpy, refined; L1 and GroupL1",
            citations=(
                "Diamond, Boyd 2016 (arXiv:1603.00943): cvxpy",
                "Goulart, Chen 2024 (arXiv:2405.12762): Clarabel",
                _GAP_SAFE,
            ),
            requires=("cvxpy",),
            remedy=_REMEDY,
        ),
        SolverEntry(
            name="closed_form_support",
            path="sparseopt_inverse.closed_form_support:ClosedFormSupport",
            problem=_SUPPORT,
            guarantee=Guarantee.EXACT,
            summary="pseudoinverse of the columns of a support, refined",
            citations=("Golub, Van Loan 2013, Matrix Computations, section 5.5",),
        ),
        SolverEntry(
            name="least_norm",
            path="sparseopt_inverse.pursuit_least_norm:LeastNorm",
            problem=_PURSUIT,
            guarantee=Guarantee.EXACT,
            summary="norm 2 in closed form, with and without noise",
            citations=("Golub, Van Loan 2013, Matrix Computations, sections 5.6 and 6.2",),
            structure={"norm": ("2",)},
        ),
        SolverEntry(
            name="highs",
            path="sparseopt_inverse.pursuit_highs:Highs",
            problem=_PURSUIT,
            guarantee=Guarantee.CERTIFIED,
            summary="norms 1 and inf without noise as a linear program, by HiGHS",
            citations=(
                "Chen, Donoho, Saunders 1998: basis pursuit",
                "Huangfu, Hall 2018: HiGHS",
            ),
            structure={"norm": ("1", "inf"), "noise": (False,)},
        ),
        SolverEntry(
            name="douglas_rachford",
            path="sparseopt_inverse.pursuit_douglas_rachford:DouglasRachford",
            problem=_PURSUIT,
            guarantee=Guarantee.CERTIFIED,
            summary="norm 1 without noise by splitting in NumPy, finished in closed form",
            citations=(
                "Douglas, Rachford 1956; Lions, Mercier 1979: the splitting",
                "Demanet, Zhang 2016 (arXiv:1301.0542): its local rate for basis pursuit",
            ),
            structure={"norm": ("1",), "noise": (False,)},
        ),
        SolverEntry(
            name="lasso_path",
            path="sparseopt_inverse.pursuit_path:LassoPath",
            problem=_PURSUIT,
            guarantee=Guarantee.CERTIFIED,
            summary="norm 1 with noise by the lasso that uses the noise up",
            citations=("van den Berg, Friedlander 2008: the Pareto frontier of basis pursuit",),
            structure={"norm": ("1",), "noise": (True,)},
        ),
        SolverEntry(
            name="pursuit_cvxpy",
            path="sparseopt_inverse.pursuit_cvxpy:PursuitCvxpy",
            problem=_PURSUIT,
            guarantee=Guarantee.CERTIFIED,
            summary="norms 1 and inf by any conic solver of cvxpy, finished in closed form",
            citations=(
                "Diamond, Boyd 2016 (arXiv:1603.00943): cvxpy",
                "Goulart, Chen 2024 (arXiv:2405.12762): Clarabel",
            ),
            requires=("cvxpy",),
            remedy=_REMEDY,
            structure={"norm": ("1", "inf")},
        ),
        SolverEntry(
            name="ball_path",
            path="sparseopt_inverse.ball_path:BallPath",
            problem=_BALL,
            guarantee=Guarantee.CERTIFIED,
            summary="least squares in an l1 ball by the lasso on its boundary",
            citations=(
                "Osborne, Presnell, Turlach 2000: the homotopy of the lasso",
                "Jaggi 2013: the gap of Frank and Wolfe",
            ),
        ),
        SolverEntry(
            name="square_root_path",
            path="sparseopt_inverse.square_root_path:SquareRootPath",
            problem=_ROOT,
            guarantee=Guarantee.CERTIFIED,
            summary="square-root lasso by the lasso of strength in proportion to its residual",
            citations=(
                "Belloni, Chernozhukov, Wang 2011 (arXiv:1009.5689): square-root lasso",
                "Massias, Fercoq, Gramfort, Salmon 2018 (arXiv:1705.09778): its dual",
            ),
        ),
        SolverEntry(
            name="best_subset",
            path="sparseopt_inverse.best_subset:BestSubset",
            problem=_SUBSET,
            guarantee=Guarantee.EXACT,
            summary="all supports up to ten million, by bounds of batches",
            citations=("Furnival, Wilson 1974: regressions by leaps and bounds",),
        ),
        SolverEntry(
            name="branch_and_bound",
            path="sparseopt_inverse.best_subset:BranchAndBound",
            problem=_SUBSET,
            guarantee=Guarantee.CERTIFIED,
            summary="a proven lower bound where there are more supports",
            citations=("Furnival, Wilson 1974: regressions by leaps and bounds",),
        ),
        SolverEntry(
            name="omp",
            path="sparseopt_inverse.omp:OrthogonalMatchingPursuit",
            problem=_SUBSET,
            guarantee=Guarantee.HEURISTIC,
            summary="orthogonal matching pursuit",
            citations=("Pati, Rezaiifar, Krishnaprasad 1993: orthogonal matching pursuit",),
        ),
        SolverEntry(
            name="cosamp",
            path="sparseopt_inverse.cosamp:CoSaMP",
            problem=_SUBSET,
            guarantee=Guarantee.HEURISTIC,
            summary="compressive sampling matching pursuit",
            citations=("Needell, Tropp 2009 (arXiv:0803.2392): CoSaMP",),
        ),
        SolverEntry(
            name="iht",
            path="sparseopt_inverse.iht:IterativeHardThresholding",
            problem=_SUBSET,
            guarantee=Guarantee.HEURISTIC,
            summary="iterative hard thresholding, normalized",
            citations=("Blumensath, Davies 2010: normalized iterative hard thresholding",),
        ),
        SolverEntry(
            name="htp",
            path="sparseopt_inverse.htp:HardThresholdingPursuit",
            problem=_SUBSET,
            guarantee=Guarantee.HEURISTIC,
            summary="hard thresholding pursuit",
            citations=("Foucart 2011: hard thresholding pursuit",),
        ),
        SolverEntry(
            name="recovery_coherence",
            path="sparseopt_inverse.recovery_coherence:RecoveryCoherence",
            problem=_RECOVERY,
            guarantee=Guarantee.EXACT,
            summary="recovery of sparse vectors by the coherence of the columns",
            citations=(
                "Donoho, Huo 2001, IEEE Transactions on Information Theory 47: coherence",
                "Tropp 2004, IEEE Transactions on Information Theory 50: Greed is good",
            ),
        ),
        SolverEntry(
            name="recovery_conditions",
            path="sparseopt_inverse.recovery_conditions:RecoveryConditions",
            problem=_RECOVERY,
            guarantee=Guarantee.EXACT,
            summary="recovery on a support by the exact recovery condition",
            citations=("Tropp 2004, IEEE Transactions on Information Theory 50: Greed is good",),
        ),
        SolverEntry(
            name="recovery_relaxation",
            path="sparseopt_inverse.recovery_relaxation:RecoveryRelaxation",
            problem=_RECOVERY,
            guarantee=Guarantee.EXACT,
            summary="recovery by l1 of all vectors of a sparsity, by one linear program a column",
            citations=("Juditsky, Nemirovski 2011 (arXiv:0809.2650): verifiable conditions",),
        ),
        SolverEntry(
            name="recovery_null_space",
            path="sparseopt_inverse.recovery_null_space:RecoveryNullSpace",
            problem=_RECOVERY,
            guarantee=Guarantee.EXACT,
            summary="recovery by l1, decided by linear programs over supports and signs",
            citations=(
                "Foucart, Rauhut 2013: null space property, dual vectors",
                "Fuchs 2004, IEEE Transactions on Information Theory 50: dual vectors",
            ),
        ),
        SolverEntry(
            name="recovery_greedy",
            path="sparseopt_inverse.recovery_greedy:RecoveryGreedy",
            problem=_RECOVERY,
            guarantee=Guarantee.EXACT,
            summary="vectors that orthogonal matching pursuit misses",
            citations=("Tropp 2004, IEEE Transactions on Information Theory 50: Greed is good",),
        ),
        SolverEntry(
            name="blind_spike",
            path="sparseopt_inverse.blind_spike:BlindSpike",
            problem=_BLIND,
            guarantee=Guarantee.EXACT,
            summary="blind deconvolution in closed form: the spike",
            citations=("Benichoux, Vincent, Gribonval 2013 (ICASSP): a fundamental pitfall",),
        ),
        SolverEntry(
            name="blind_descent",
            path="sparseopt_inverse.blind_descent:BlindDescent",
            problem=_BLIND,
            guarantee=Guarantee.HEURISTIC,
            summary="blind deconvolution by alternating descent, to be compared with the optimum",
            citations=("Bolte, Sabach, Teboulle 2014, Mathematical Programming 146: PALM",),
        ),
        SolverEntry(
            name="rescaling_closed_form",
            path="sparseopt_inverse.rescaling_closed_form:RescalingClosedForm",
            problem="sparseopt:OptimalRescaling",
            guarantee=Guarantee.EXACT,
            summary="optimal rescaling of the factors of a product, in closed form",
            citations=("Cohen, Leplat 2024 (arXiv:2403.18517): optimal rescaling",),
        ),
        SolverEntry(
            name="interpolant",
            path="sparseopt_inverse.interpolant:Interpolant",
            problem="sparseopt:MinimumNormInterpolant",
            guarantee=Guarantee.EXACT,
            summary="the ReLU network of least weights through points, in closed form",
            citations=(
                "Savarese, Evron, Soudry, Srebro 2019 (arXiv:1902.05040): infinite width networks",
            ),
        ),
    ),
)

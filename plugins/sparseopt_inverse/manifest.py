"""What this plugin offers; data only."""

from sparseopt.choosing.manifest import Manifest, SolverEntry
from sparseopt.interface.verdict import Guarantee

_REGRESSION = "sparseopt:SparseRegression"
_TRAINING = "sparseopt:TwoLayerReLU"
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
            summary="working sets with Newton steps in NumPy; every penalty, also operators",
            citations=(
                "Massias, Gramfort, Salmon 2018 (arXiv:1802.07481): working sets by duality gap",
                "Lee, Battle, Raina, Ng 2007: feature-sign search",
                "O'Donoghue, Candes 2015 (arXiv:1204.3982): accelerated steps with restart",
                "Toh, Yun 2010: accelerated steps for the nuclear norm",
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
            name="relu_cone_program",
            path="sparseopt_inverse.relu_exact:ReLUConeProgram",
            problem=_TRAINING,
            guarantee=Guarantee.CERTIFIED,
            summary="two-layer ReLU training over all activation patterns, by Clarabel",
            citations=(
                "Pilanci, Ergen 2020 (arXiv:2002.10553): ReLU training as a convex program",
                "Goulart, Chen 2024 (arXiv:2405.12762): Clarabel",
            ),
            requires=("clarabel",),
            remedy=_REMEDY,
            structure={"gated": (False,)},
        ),
        SolverEntry(
            name="gated_group_lasso",
            path="sparseopt_inverse.relu_gated:GatedGroupLasso",
            problem=_TRAINING,
            guarantee=Guarantee.CERTIFIED,
            summary="gated training with one output, stated as a regression with GroupL1",
            citations=(
                "Pilanci, Ergen 2020 (arXiv:2002.10553): gated training is a group lasso",
                "Mishkin, Sahiner, Pilanci 2022 (arXiv:2202.01331): gated ReLU problems",
            ),
            structure={"gated": (True,)},
        ),
        SolverEntry(
            name="gated_nuclear_norm",
            path="sparseopt_inverse.relu_nuclear:GatedNuclearNorm",
            problem=_TRAINING,
            guarantee=Guarantee.CERTIFIED,
            summary="gated training with several outputs, nuclear norms by Clarabel",
            citations=(
                "Sahiner, Ergen, Pauly, Pilanci 2021 (arXiv:2012.13329): vector outputs",
                "Goulart, Chen 2024 (arXiv:2405.12762): Clarabel",
            ),
            requires=("clarabel",),
            remedy=_REMEDY,
            structure={"gated": (True,)},
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

"""What this plugin offers; data only."""

from sparseopt.choosing.manifest import Manifest, SolverEntry
from sparseopt.interface.verdict import Guarantee

_REGRESSION = "sparseopt:SparseRegression"
_TRAINING = "sparseopt:TwoLayerReLU"
_REMEDY = "pip install 'sparseopt[inverse]'"
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
    ),
)

"""What this plugin offers; data only."""

from sparseopt.choosing.manifest import AnalyzerEntry, Manifest, SolverEntry, ToolEntry
from sparseopt.interface.verdict import Guarantee

_REMEDY = "pip install 'sparseopt[pathnorm]'"

MANIFEST = Manifest(
    name="pathnorm",
    api=1,
    former_names=("pathlifting",),
    summary="path-norms, path costs and Lipschitz bounds of networks",
    solvers=(
        SolverEntry(
            name="one_pass",
            path="sparseopt_pathnorm.one_pass:OnePass",
            problem="sparseopt:PathNorm",
            guarantee=Guarantee.EXACT,
            summary="path-norm by one pass through the layers; any network",
            citations=("arXiv:2310.01225",),
        ),
        SolverEntry(
            name="one_pass_torch",
            path="sparseopt_pathnorm.one_pass_torch:OnePassTorch",
            problem="sparseopt:PathNorm",
            guarantee=Guarantee.EXACT,
            summary="path-norm by one pass with PyTorch's kernels, in float64 or float32",
            citations=("arXiv:2310.01225",),
            requires=("torch",),
            remedy=_REMEDY,
        ),
        SolverEntry(
            name="path_enumeration",
            path="sparseopt_pathnorm.path_enumeration:PathEnumeration",
            problem="sparseopt:PathNorm",
            guarantee=Guarantee.EXACT,
            summary="path-norm by listing every path, in exact arithmetic; small networks",
            citations=("arXiv:2310.01225",),
        ),
        SolverEntry(
            name="lipschitz_passes",
            path="sparseopt_pathnorm.lipschitz_passes:LipschitzPasses",
            problem="sparseopt:LipschitzBound",
            guarantee=Guarantee.CERTIFIED,
            summary="Lipschitz bound by forward and backward passes; any network",
            citations=("arXiv:2310.01225",),
        ),
        SolverEntry(
            name="lipschitz_table",
            path="sparseopt_pathnorm.lipschitz_passes:LipschitzTable",
            problem="sparseopt:LipschitzBound",
            guarantee=Guarantee.CERTIFIED,
            summary="Lipschitz bound from the table of all inputs and outputs",
            citations=("arXiv:2310.01225",),
        ),
        SolverEntry(
            name="path_costs",
            path="sparseopt_pathnorm.path_costs:PathCosts",
            problem="sparseopt:PathCost",
            guarantee=Guarantee.EXACT,
            summary="path costs by one pass forward and one backward; any network",
            citations=("arXiv:2405.15006",),
        ),
        SolverEntry(
            name="path_costs_torch",
            path="sparseopt_pathnorm.path_costs:PathCostsTorch",
            problem="sparseopt:PathCost",
            guarantee=Guarantee.EXACT,
            summary="path costs with PyTorch's kernels, in float64 or float32",
            citations=("arXiv:2405.15006",),
            requires=("torch",),
            remedy=_REMEDY,
        ),
        SolverEntry(
            name="distance_enumeration",
            path="sparseopt_pathnorm.path_distance:DistanceEnumeration",
            problem="sparseopt:PathDistance",
            guarantee=Guarantee.EXACT,
            summary="distance of two path-liftings path by path; small networks",
            citations=("arXiv:2405.15006",),
        ),
        SolverEntry(
            name="distance_passes",
            path="sparseopt_pathnorm.path_distance:DistancePasses",
            problem="sparseopt:PathDistance",
            guarantee=Guarantee.CERTIFIED,
            summary="distance of two path-liftings by two passes, where no sign changes",
            citations=("arXiv:2405.15006",),
        ),
        SolverEntry(
            name="jacobian_rank",
            path="sparseopt_pathnorm.jacobian_rank:JacobianRank",
            problem="sparseopt:Identifiability",
            guarantee=Guarantee.EXACT,
            summary="identifiability by the rank of the derivative, modulo a prime",
            citations=("arXiv:2206.07424", "arXiv:2107.09370"),
        ),
        SolverEntry(
            name="facets_of_units",
            path="sparseopt_pathnorm.facets_of_units:FacetsOfUnits",
            problem="sparseopt:Identifiability",
            guarantee=Guarantee.EXACT,
            summary="identifiability unit by unit, for networks of up to a million parameters",
            citations=("arXiv:2206.07424",),
        ),
    ),
    analyzers=(
        AnalyzerEntry(
            name="measured_slopes",
            path="sparseopt_pathnorm.measured_slopes:MeasuredSlopes",
            subject="sparseopt:Network",
            summary="the Lipschitz bound against slopes on random pairs of inputs",
        ),
        AnalyzerEntry(
            name="layer_structure",
            path="sparseopt_pathnorm.layer_structure:LayerStructure",
            subject="sparseopt:Network",
            summary="layers, parameters and sparsity",
        ),
        AnalyzerEntry(
            name="neural_balance",
            path="sparseopt_pathnorm.neural_balance:NeuralBalance",
            subject="sparseopt:Network",
            summary="incoming against outgoing norm of the hidden units",
        ),
        AnalyzerEntry(
            name="path_norms",
            path="sparseopt_pathnorm.path_norms:PathNorms",
            subject="sparseopt:Network",
            summary="path-norm, Lipschitz bound, path count, and their growth with depth",
        ),
        AnalyzerEntry(
            name="rescaling_sensitivity",
            path="sparseopt_pathnorm.rescaling_sensitivity:RescalingSensitivity",
            subject="sparseopt:Network",
            summary="what magnitude pruning loses when hidden units are rescaled",
        ),
        AnalyzerEntry(
            name="support_closedness",
            path="sparseopt_pathnorm.support_closedness:SupportClosedness",
            subject="sparseopt:Network",
            summary="closedness of the supports of consecutive sparse layers",
        ),
    ),
    tools=(
        ToolEntry(
            name="path_norm",
            path="sparseopt_pathnorm.training_norm:path_norm",
            summary="the path-norm of a torch module with its gradient, for training",
            requires=("torch",),
            remedy=_REMEDY,
        ),
    ),
)

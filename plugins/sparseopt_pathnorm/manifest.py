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
            name="distance_three_passes",
            path="sparseopt_pathnorm.path_distance:DistanceThreePasses",
            problem="sparseopt:PathDistance",
            guarantee=Guarantee.CERTIFIED,
            summary="upper bound of the distance of two path-liftings where signs change",
            citations=("arXiv:2405.15006",),
        ),
        SolverEntry(
            name="signed_intervals",
            path="sparseopt_pathnorm.output_change:SignedIntervals",
            problem="sparseopt:OutputChange",
            guarantee=Guarantee.CERTIFIED,
            summary="change of outputs by intervals of the difference, layer by layer; any signs",
            citations=("arXiv:1810.12715",),
        ),
        SolverEntry(
            name="backward_substitution",
            path="sparseopt_pathnorm.change_substitution:BackwardSubstitution",
            problem="sparseopt:OutputChange",
            guarantee=Guarantee.CERTIFIED,
            summary="change of outputs by lines around each ReLU, back to the input; the tightest",
            citations=("arXiv:1811.00866",),
        ),
        SolverEntry(
            name="path_metric",
            path="sparseopt_pathnorm.output_change:PathMetricBound",
            problem="sparseopt:OutputChange",
            guarantee=Guarantee.CERTIFIED,
            summary="change of outputs by eq. (8), three passes; any signs",
            citations=("arXiv:2405.15006",),
            on_request=True,
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
            name="one_hidden_layer",
            path="sparseopt_pathnorm.one_hidden_layer:OneHiddenLayer",
            problem="sparseopt:Identifiability",
            guarantee=Guarantee.EXACT,
            summary="identifiability from the function of a network with one hidden layer",
            citations=("arXiv:2107.09370",),
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
            name="identified_parameters",
            path="sparseopt_pathnorm.identified_parameters:IdentifiedParameters",
            subject="sparseopt:Network",
            summary="whether data determine the parameters, up to rescaling",
            rules={
                "identifiable": "ok: the parameters are, proved from some inputs",
                "not-identifiable": (
                    "warning: directions of the parameters that no data can identify, as those of "
                    "constant units"
                ),
                "identifiability": "info: it is not known, or the inputs found determine a part",
            },
        ),
        AnalyzerEntry(
            name="measured_slopes",
            path="sparseopt_pathnorm.measured_slopes:MeasuredSlopes",
            subject="sparseopt:Network",
            summary="the Lipschitz bound against slopes on random pairs of inputs",
            rules={
                "measured-slopes": (
                    "info, or problem where one violates the bound: slopes "
                    "between random pairs of inputs beside the proved Lipschitz bound"
                ),
            },
        ),
        AnalyzerEntry(
            name="layer_structure",
            path="sparseopt_pathnorm.layer_structure:LayerStructure",
            subject="sparseopt:Network",
            summary="layers, parameters and sparsity",
            rules={
                "structure": "info: operators, parameters and share of zeros of each layer",
                "layer-norms": "info: norms of the weights of each layer, which rescaling changes",
                "layer-of-zeros": (
                    "problem: every weight of a layer is zero, so nothing passes through it"
                ),
                "reader-note": "info: what the reader of the file left out, or assumed",
            },
        ),
        AnalyzerEntry(
            name="neural_balance",
            path="sparseopt_pathnorm.neural_balance:NeuralBalance",
            subject="sparseopt:Network",
            summary="incoming against outgoing norm of the hidden units",
            rules={
                "neural-balance": (
                    "ok or warning: how much incoming over outgoing norm varies within each layer"
                ),
                "uneven-layer": (
                    "warning: magnitudes of weights are not comparable between the units of a layer"
                ),
                "dead-units": "warning: units without a weight in or without a weight out",
            },
        ),
        AnalyzerEntry(
            name="path_norms",
            path="sparseopt_pathnorm.path_norms:PathNorms",
            subject="sparseopt:Network",
            summary="path-norm, Lipschitz bound, path count, and their growth with depth",
            rules={
                "path-norm": (
                    "info, or problem where no path carries weight: the L1 path-norm, "
                    "which no rescaling changes"
                ),
                "path-count": "info: how many paths with nonzero weight end at the outputs",
                "lipschitz-bound": (
                    "info, or problem where the output is constant: |f(x) - "
                    "f(y)|_1 over |x - y|_inf for all inputs"
                ),
                "norm-along-depth": "info: the path-norm of the network cut after each layer",
                "paths-along-depth": (
                    "info: the number of paths with nonzero weight that end in each layer"
                ),
            },
        ),
        AnalyzerEntry(
            name="rescaling_sensitivity",
            path="sparseopt_pathnorm.rescaling_sensitivity:RescalingSensitivity",
            subject="sparseopt:Network",
            summary="what magnitude pruning loses when hidden units are rescaled",
            rules={
                "sensitivity-to-rescaling": (
                    "ok or warning: how much of what magnitude pruning "
                    "keeps it removes once hidden units are rescaled"
                ),
            },
        ),
        AnalyzerEntry(
            name="support_closedness",
            path="sparseopt_pathnorm.support_closedness:SupportClosedness",
            subject="sparseopt:Network",
            summary="closedness of the supports of consecutive sparse layers",
            rules={
                "supports-closed": (
                    "ok: training these two layers with their zeros is not ruled out by closedness"
                ),
                "supports-not-closed": (
                    "warning: for some data sets training these two layers "
                    "with their zeros has no optimum, and weights grow without bound"
                ),
                "supports-unknown": "info: no solver could decide in the time given",
                "weight-growth": "info: what numerical fits hint at beside that, no verdict",
            },
        ),
        AnalyzerEntry(
            name="training_optimum",
            path="sparseopt_pathnorm.training_optimum:TrainingOptimum",
            subject="sparseopt:Network",
            summary="whether training with these zeros always has an optimum, or data without one",
            citations=("arXiv:2306.02666",),
            rules={
                "training-attained": "ok: it has, whatever the data",
                "training-may-not-be-attained": (
                    "info in dense layers, warning in sparse ones: a data set without an optimum, "
                    "where the certificate can hold one"
                ),
                "training-unknown": "info: neither is proved",
            },
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

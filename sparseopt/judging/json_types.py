"""Where the classes live that may occur in JSON, by the name after ``"sparseopt:"``.

Reading a file imports the modules of its own classes and nothing else: no plugin, and no
capability that the file does not speak of.
"""

from __future__ import annotations

_MODULES = {
    "sparseopt.butterfly.architecture": ("Architecture",),
    "sparseopt.butterfly.certificate": ("ButterflyCertificate",),
    "sparseopt.butterfly.pattern": ("KroneckerPattern",),
    "sparseopt.butterfly.permuted": ("PermutedKroneckerProduct",),
    "sparseopt.butterfly.permuted_certificate": ("PermutedButterflyCertificate",),
    "sparseopt.butterfly.problem": ("ButterflyFactorization",),
    "sparseopt.butterfly.product": ("KroneckerProduct",),
    "sparseopt.closedness.chain_limits": ("ChainLimitCertificate",),
    "sparseopt.closedness.chain_parts": (
        "PeeledChainCertificate",
        "SubChainCertificate",
    ),
    "sparseopt.closedness.chains": (
        "KroneckerChainCertificate",
        "ShortenedChainCertificate",
    ),
    "sparseopt.closedness.closed": (
        "ComparableCertificate",
        "ReducedClosedCertificate",
        "SingleFactorCertificate",
    ),
    "sparseopt.closedness.external": ("ExternalExclusionCertificate",),
    "sparseopt.closedness.nearest": (
        "ClosedSupport",
        "ClosedSupportCertificate",
        "NearestClosedSupport",
    ),
    "sparseopt.closedness.not_closed": ("NotClosedCertificate",),
    "sparseopt.closedness.problem": (
        "Closedness",
        "ClosednessVerdict",
    ),
    "sparseopt.guarantees.one_hidden_layer": ("OneHiddenLayerCertificate",),
    "sparseopt.guarantees.output_change": (
        "OutputChange",
        "OutputChangeCertificate",
        "OutputChangeValue",
    ),
    "sparseopt.guarantees.facets": (
        "FacetCertificate",
        "FacetEvidence",
    ),
    "sparseopt.guarantees.families": ("Family",),
    "sparseopt.guarantees.identifiability": (
        "Identifiability",
        "IdentifiabilityVerdict",
    ),
    "sparseopt.guarantees.rank": (
        "JacobianRankCertificate",
        "RankEvidence",
    ),
    "sparseopt.guarantees.second_network": ("SecondNetworkCertificate",),
    "sparseopt.guarantees.structural": ("StructuralCertificate",),
    "sparseopt.interface.finding": (
        "Finding",
        "KeyFigure",
        "NetworkFigure",
        "SeriesFigure",
        "SupportFigure",
    ),
    "sparseopt.interface.plan": (
        "Candidate",
        "Plan",
    ),
    "sparseopt.interface.report": (
        "Report",
        "Skipped",
    ),
    "sparseopt.interface.solution": ("Solution",),
    "sparseopt.interface.verdict": (
        "Accepted",
        "Guarantee",
        "Outranked",
        "Refused",
        "Unavailable",
    ),
    "sparseopt.inverse.basis_pursuit": (
        "BasisPursuit",
        "PursuitAnswer",
    ),
    "sparseopt.inverse.cardinality": ("CardinalityRegression",),
    "sparseopt.inverse.certificate": ("DualityGapCertificate",),
    "sparseopt.inverse.coefficients": ("Coefficients",),
    "sparseopt.inverse.composite": (
        "Ridge",
        "SparseGroupL1",
    ),
    "sparseopt.inverse.constrained": (
        "BallCertificate",
        "ConstrainedRegression",
    ),
    "sparseopt.inverse.deconvolution": (
        "BlindDeconvolution",
        "BlindDeconvolutionCertificate",
        "FilterAndSignal",
    ),
    "sparseopt.inverse.greedy_recovery": (
        "GreedyFailureCertificate",
        "GreedyRecoveryCertificate",
    ),
    "sparseopt.inverse.infeasible_certificate": ("InfeasibleCertificate",),
    "sparseopt.inverse.known_support": (
        "KnownSupportRegression",
        "SupportedCoefficients",
    ),
    "sparseopt.inverse.known_support_certificate": ("KnownSupportCertificate",),
    "sparseopt.inverse.matrix_penalties": (
        "NuclearNorm",
        "TotalVariation",
    ),
    "sparseopt.inverse.penalty": (
        "GroupL1",
        "L1",
        "PenaltySum",
    ),
    "sparseopt.inverse.problem": ("SparseRegression",),
    "sparseopt.inverse.pursuit_certificate": ("PursuitCertificate",),
    "sparseopt.inverse.recovery": (
        "RecoveryGuarantee",
        "RecoveryVerdict",
    ),
    "sparseopt.inverse.recovery_bound": ("NullSpaceBoundCertificate",),
    "sparseopt.inverse.recovery_counterexamples": (
        "KernelCertificate",
        "NearKernelCertificate",
    ),
    "sparseopt.inverse.recovery_proofs": (
        "CoherenceCertificate",
        "DualVectorsCertificate",
        "ExactRecoveryCertificate",
    ),
    "sparseopt.inverse.rescaling": (
        "OptimalRescaling",
        "RescalingCertificate",
        "Scalings",
    ),
    "sparseopt.inverse.square_root": (
        "SquareRootCertificate",
        "SquareRootLasso",
    ),
    "sparseopt.inverse.subset_certificate": ("SubsetCertificate",),
    "sparseopt.pathnorm.lipschitz": (
        "LipschitzBound",
        "LipschitzCertificate",
        "LipschitzValue",
    ),
    "sparseopt.pathnorm.path_cost": (
        "PathCost",
        "PathCostCertificate",
        "PathCosts",
    ),
    "sparseopt.pathnorm.path_distance": (
        "PathDistance",
        "PathDistanceCertificate",
        "PathDistanceValue",
    ),
    "sparseopt.pathnorm.path_norm": (
        "PathNorm",
        "PathNormCertificate",
        "PathNormValue",
    ),
    "sparseopt.quantization.exponent_certificates": (
        "ExponentCycleCertificate",
        "ExponentFitCertificate",
    ),
    "sparseopt.quantization.exponents": (
        "ExponentFit",
        "ExponentFitting",
    ),
    "sparseopt.quantization.number_format": ("NumberFormat",),
    "sparseopt.quantization.product": ("ProductQuantization",),
    "sparseopt.quantization.product_certificate": ("ProductQuantizationCertificate",),
    "sparseopt.quantization.rank_one": (
        "RankOneQuantization",
        "RankOneTerm",
    ),
    "sparseopt.quantization.rank_one_certificate": ("RankOneCertificate",),
    "sparseopt.supports.certificate": ("FixedSupportCertificate",),
    "sparseopt.supports.coercive_certificate": ("CoerciveCertificate",),
    "sparseopt.supports.factors": ("SupportedFactors",),
    "sparseopt.supports.problem": ("FixedSupportFactorization",),
    "sparseopt.tools.change_ends": ("ChangeEnds",),
    "sparseopt.tools.largest_change": ("LargestChange",),
    "sparseopt.tools.quantizing.report": (
        "ChangeBound",
        "MeasuredChange",
        "Quantization",
        "QuantizedLayer",
    ),
    "sparseopt.training.activation_cover": (
        "ActivationCover",
        "CoverMultipliers",
    ),
    "sparseopt.training.interpolation": (
        "InterpolantCertificate",
        "InterpolatingNetwork",
        "MinimumNormInterpolant",
    ),
    "sparseopt.training.opposite_targets": ("OppositeTargetsCertificate",),
    "sparseopt.training.repeated_pattern": ("RepeatedPatternCertificate",),
    "sparseopt.training.sparse_training": (
        "SparseTraining",
        "TrainingCertificate",
        "TrainingVerdict",
    ),
    "sparseopt.training.two_layer_certificate": ("TwoLayerReLUCertificate",),
    "sparseopt.training.two_layer_network": ("TwoLayerNetwork",),
    "sparseopt.training.two_layer_relu": ("TwoLayerReLU",),
}

HOMES = {name: module for module, names in _MODULES.items() for name in names}
"""Class name to the module that imports it."""

OTHERS = "sparseopt.networks"
"""The module that imports every class without a line here: those of networks and their layers, so
that a new layer needs none."""

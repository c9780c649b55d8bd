"""Where the classes live that may occur in JSON, by the name after ``"sparseopt:"``.

Reading a file imports the modules of its own classes and nothing else: no plugin, and no
capability that the file does not speak of.
"""

from __future__ import annotations

_MODULES = {
    "sparseopt.butterfly.certificate": ("ButterflyCertificate",),
    "sparseopt.butterfly.permuted": ("PermutedKroneckerProduct",),
    "sparseopt.butterfly.permuted_certificate": ("PermutedButterflyCertificate",),
    "sparseopt.butterfly.problem": ("ButterflyFactorization",),
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
    "sparseopt.interface.finding": (
        "Finding",
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
    "sparseopt.kronecker.architecture": ("Architecture",),
    "sparseopt.kronecker.pattern": ("KroneckerPattern",),
    "sparseopt.kronecker.product": ("KroneckerProduct",),
    "sparseopt.network.linear": (
        "Conv",
        "ConvTranspose",
        "Dense",
        "Neuron",
        "Scale",
    ),
    "sparseopt.network.network": (
        "Network",
        "Node",
    ),
    "sparseopt.network.operator": (
        "Add",
        "Concat",
        "Input",
        "Permute",
        "Relu",
        "Reshape",
        "Select",
    ),
    "sparseopt.network.window": (
        "AxisMap",
        "AxisWindow",
        "MaxPool",
        "RankPool",
        "Resample",
    ),
    "sparseopt.pathlifting.lipschitz": (
        "LipschitzBound",
        "LipschitzCertificate",
        "LipschitzValue",
    ),
    "sparseopt.pathlifting.metric": (
        "PathDistance",
        "PathDistanceCertificate",
        "PathDistanceValue",
    ),
    "sparseopt.pathlifting.pathcost": (
        "PathCost",
        "PathCostCertificate",
        "PathCosts",
    ),
    "sparseopt.pathlifting.pathnorm": (
        "PathNorm",
        "PathNormCertificate",
        "PathNormValue",
    ),
    "sparseopt.recovery.certificate": ("DualityGapCertificate",),
    "sparseopt.recovery.coefficients": ("Coefficients",),
    "sparseopt.recovery.penalty": (
        "GroupL1",
        "L1",
    ),
    "sparseopt.recovery.problem": ("SparseRegression",),
    "sparseopt.sparse_training": (
        "SparseTraining",
        "TrainingCertificate",
        "TrainingVerdict",
    ),
    "sparseopt.supports.certificate": ("FixedSupportCertificate",),
    "sparseopt.supports.factors": ("SupportedFactors",),
    "sparseopt.supports.problem": ("FixedSupportFactorization",),
}

HOMES = {name: module for module, names in _MODULES.items() for name in names}
"""Class name to the module that imports it."""

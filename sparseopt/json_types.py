"""Where the classes live that may occur in JSON, by the name after ``"sparseopt:"``.

Reading a file imports the modules of its own classes and nothing else: no plugin, and no
capability that the file does not speak of.
"""

from __future__ import annotations

_MODULES = {
    "sparseopt.butterfly": (
        "ButterflyCertificate",
        "ButterflyFactorization",
        "PermutedButterflyCertificate",
        "PermutedKroneckerProduct",
    ),
    "sparseopt.closedness": (
        "ClosedSupport",
        "ClosedSupportCertificate",
        "Closedness",
        "ClosednessVerdict",
        "ComparableCertificate",
        "ExternalExclusionCertificate",
        "KroneckerChainCertificate",
        "NearestClosedSupport",
        "NotClosedCertificate",
        "ReducedClosedCertificate",
        "ShortenedChainCertificate",
        "SingleFactorCertificate",
    ),
    "sparseopt.finding": ("Finding", "SeriesFigure", "SupportFigure"),
    "sparseopt.kronecker": ("Architecture", "KroneckerPattern", "KroneckerProduct"),
    "sparseopt.network": (
        "Add",
        "AxisMap",
        "AxisWindow",
        "Concat",
        "Conv",
        "ConvTranspose",
        "Dense",
        "Input",
        "MaxPool",
        "Network",
        "Neuron",
        "Node",
        "Permute",
        "RankPool",
        "Relu",
        "Resample",
        "Reshape",
        "Scale",
        "Select",
    ),
    "sparseopt.pathlifting": (
        "LipschitzBound",
        "LipschitzCertificate",
        "LipschitzValue",
        "PathCost",
        "PathCostCertificate",
        "PathCosts",
        "PathDistance",
        "PathDistanceCertificate",
        "PathDistanceValue",
        "PathNorm",
        "PathNormCertificate",
        "PathNormValue",
    ),
    "sparseopt.planning": ("Candidate", "Plan"),
    "sparseopt.recovery": (
        "Coefficients",
        "DualityGapCertificate",
        "GroupL1",
        "L1",
        "SparseRegression",
    ),
    "sparseopt.report": ("Report", "Skipped"),
    "sparseopt.solution": ("Solution",),
    "sparseopt.sparse_training": ("SparseTraining", "TrainingCertificate", "TrainingVerdict"),
    "sparseopt.supports": (
        "FixedSupportCertificate",
        "FixedSupportFactorization",
        "SupportedFactors",
    ),
    "sparseopt.verdict": ("Accepted", "Guarantee", "Outranked", "Refused", "Unavailable"),
}

HOMES = {name: module for module, names in _MODULES.items() for name in names}
"""Class name to the module that imports it."""

# The public names, each written once: `sparseopt/__init__.py` reads this file at run time and
# imports a name at its first use; type checkers read it as it is.
from sparseopt_kronecker.compression import (
    compress as compress,
)
from sparseopt_kronecker.fused_chain import (
    FusedChain as FusedChain,
)
from sparseopt_kronecker.kronecker_linear import (
    KroneckerLinear as KroneckerLinear,
)

from sparseopt.analysis import (
    analyze as analyze,
)
from sparseopt.analyzer import (
    Analyzer as Analyzer,
)
from sparseopt.butterfly import (
    ButterflyCertificate as ButterflyCertificate,
)
from sparseopt.butterfly import (
    ButterflyFactorization as ButterflyFactorization,
)
from sparseopt.butterfly import (
    PermutedButterflyCertificate as PermutedButterflyCertificate,
)
from sparseopt.butterfly import (
    PermutedKroneckerProduct as PermutedKroneckerProduct,
)
from sparseopt.certificate import (
    Certificate as Certificate,
)
from sparseopt.certificate import (
    Check as Check,
)
from sparseopt.certificate import (
    Steps as Steps,
)
from sparseopt.certificate import (
    proves as proves,
)
from sparseopt.closedness import (
    Closedness as Closedness,
)
from sparseopt.closedness import (
    ClosednessVerdict as ClosednessVerdict,
)
from sparseopt.closedness import (
    ClosedSupport as ClosedSupport,
)
from sparseopt.closedness import (
    ClosedSupportCertificate as ClosedSupportCertificate,
)
from sparseopt.closedness import (
    ComparableCertificate as ComparableCertificate,
)
from sparseopt.closedness import (
    ExternalExclusionCertificate as ExternalExclusionCertificate,
)
from sparseopt.closedness import (
    KroneckerChainCertificate as KroneckerChainCertificate,
)
from sparseopt.closedness import (
    NearestClosedSupport as NearestClosedSupport,
)
from sparseopt.closedness import (
    NotClosedCertificate as NotClosedCertificate,
)
from sparseopt.closedness import (
    ReducedClosedCertificate as ReducedClosedCertificate,
)
from sparseopt.closedness import (
    ShortenedChainCertificate as ShortenedChainCertificate,
)
from sparseopt.closedness import (
    SingleFactorCertificate as SingleFactorCertificate,
)
from sparseopt.closedness import (
    lu_window_count as lu_window_count,
)
from sparseopt.context import (
    Context as Context,
)
from sparseopt.errors import (
    Inconclusive as Inconclusive,
)
from sparseopt.errors import (
    ProblemError as ProblemError,
)
from sparseopt.errors import (
    SolveError as SolveError,
)
from sparseopt.errors import (
    SparseoptError as SparseoptError,
)
from sparseopt.errors import (
    TimeLimitReached as TimeLimitReached,
)
from sparseopt.errors import (
    UnknownNameError as UnknownNameError,
)
from sparseopt.finding import (
    Finding as Finding,
)
from sparseopt.finding import (
    SeriesFigure as SeriesFigure,
)
from sparseopt.finding import (
    Severity as Severity,
)
from sparseopt.finding import (
    SupportFigure as SupportFigure,
)
from sparseopt.fixed_support import (
    FixedSupportCertificate as FixedSupportCertificate,
)
from sparseopt.fixed_support import (
    FixedSupportFactorization as FixedSupportFactorization,
)
from sparseopt.fixed_support import (
    SupportedFactors as SupportedFactors,
)
from sparseopt.kronecker import (
    Architecture as Architecture,
)
from sparseopt.kronecker import (
    KroneckerPattern as KroneckerPattern,
)
from sparseopt.kronecker import (
    KroneckerProduct as KroneckerProduct,
)
from sparseopt.manifest import (
    AnalyzerEntry as AnalyzerEntry,
)
from sparseopt.manifest import (
    Manifest as Manifest,
)
from sparseopt.manifest import (
    ReaderEntry as ReaderEntry,
)
from sparseopt.manifest import (
    SolverEntry as SolverEntry,
)
from sparseopt.network import (
    Network as Network,
)
from sparseopt.network import (
    load_network as load_network,
)
from sparseopt.parallel import (
    solve_all as solve_all,
)
from sparseopt.pathlifting import (
    LipschitzBound as LipschitzBound,
)
from sparseopt.pathlifting import (
    LipschitzCertificate as LipschitzCertificate,
)
from sparseopt.pathlifting import (
    LipschitzValue as LipschitzValue,
)
from sparseopt.pathlifting import (
    PathCost as PathCost,
)
from sparseopt.pathlifting import (
    PathCostCertificate as PathCostCertificate,
)
from sparseopt.pathlifting import (
    PathCosts as PathCosts,
)
from sparseopt.pathlifting import (
    PathDistance as PathDistance,
)
from sparseopt.pathlifting import (
    PathDistanceCertificate as PathDistanceCertificate,
)
from sparseopt.pathlifting import (
    PathDistanceValue as PathDistanceValue,
)
from sparseopt.pathlifting import (
    PathLifting as PathLifting,
)
from sparseopt.pathlifting import (
    PathNorm as PathNorm,
)
from sparseopt.pathlifting import (
    PathNormCertificate as PathNormCertificate,
)
from sparseopt.pathlifting import (
    PathNormValue as PathNormValue,
)
from sparseopt.pathlifting import (
    PoolingShape as PoolingShape,
)
from sparseopt.pathlifting import (
    bound_factor as bound_factor,
)
from sparseopt.pathlifting import (
    generalization_bound as generalization_bound,
)
from sparseopt.pathlifting import (
    path_count as path_count,
)
from sparseopt.pathlifting import (
    path_lifting as path_lifting,
)
from sparseopt.pathlifting import (
    path_table as path_table,
)
from sparseopt.pathlifting import (
    pooling_shape as pooling_shape,
)
from sparseopt.planning import (
    Candidate as Candidate,
)
from sparseopt.planning import (
    Plan as Plan,
)
from sparseopt.planning import (
    plan as plan,
)
from sparseopt.preference import (
    preferences as preferences,
)
from sparseopt.problem import (
    Problem as Problem,
)
from sparseopt.pruning import (
    PairVerdict as PairVerdict,
)
from sparseopt.pruning import (
    PrunedTensor as PrunedTensor,
)
from sparseopt.pruning import (
    Pruning as Pruning,
)
from sparseopt.pruning import (
    pair_verdicts as pair_verdicts,
)
from sparseopt.pruning import (
    prune as prune,
)
from sparseopt.reader import (
    Reader as Reader,
)
from sparseopt.recovery import (
    L1 as L1,
)
from sparseopt.recovery import (
    Coefficients as Coefficients,
)
from sparseopt.recovery import (
    DualityGapCertificate as DualityGapCertificate,
)
from sparseopt.recovery import (
    GroupL1 as GroupL1,
)
from sparseopt.recovery import (
    Penalty as Penalty,
)
from sparseopt.recovery import (
    SparseRegression as SparseRegression,
)
from sparseopt.registry import (
    analyzers as analyzers,
)
from sparseopt.registry import (
    plugins as plugins,
)
from sparseopt.registry import (
    read as read,
)
from sparseopt.registry import (
    solvers as solvers,
)
from sparseopt.report import (
    Report as Report,
)
from sparseopt.rescaling import (
    Balance as Balance,
)
from sparseopt.rescaling import (
    RescalingEquivalence as RescalingEquivalence,
)
from sparseopt.rescaling import (
    RescalingGroups as RescalingGroups,
)
from sparseopt.rescaling import (
    are_rescaling_equivalent as are_rescaling_equivalent,
)
from sparseopt.rescaling import (
    canonical_factors as canonical_factors,
)
from sparseopt.rescaling import (
    canonicalize as canonicalize,
)
from sparseopt.rescaling import (
    neural_balance as neural_balance,
)
from sparseopt.rescaling import (
    random_factors as random_factors,
)
from sparseopt.rescaling import (
    rescale as rescale,
)
from sparseopt.serialization import (
    from_json as from_json,
)
from sparseopt.serialization import (
    json_type as json_type,
)
from sparseopt.serialization import (
    to_json as to_json,
)
from sparseopt.solution import (
    Solution as Solution,
)
from sparseopt.solution import (
    Status as Status,
)
from sparseopt.solver import (
    Solver as Solver,
)
from sparseopt.solving import (
    solve as solve,
)
from sparseopt.sparse_training import (
    SparseTraining as SparseTraining,
)
from sparseopt.sparse_training import (
    TrainingCertificate as TrainingCertificate,
)
from sparseopt.sparse_training import (
    TrainingVerdict as TrainingVerdict,
)
from sparseopt.verdict import (
    Accepted as Accepted,
)
from sparseopt.verdict import (
    Guarantee as Guarantee,
)
from sparseopt.verdict import (
    Refused as Refused,
)
from sparseopt.verdict import (
    Unavailable as Unavailable,
)
from sparseopt.verifying import (
    verify as verify,
)

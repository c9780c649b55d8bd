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
    ButterflyFactorization as ButterflyFactorization,
    PermutedButterflyCertificate as PermutedButterflyCertificate,
    PermutedKroneckerProduct as PermutedKroneckerProduct,
)
from sparseopt.certificate import (
    Certificate as Certificate,
    Check as Check,
    Steps as Steps,
    proves as proves,
)
from sparseopt.closedness import (
    Closedness as Closedness,
    ClosednessVerdict as ClosednessVerdict,
    ClosedSupport as ClosedSupport,
    ClosedSupportCertificate as ClosedSupportCertificate,
    ComparableCertificate as ComparableCertificate,
    ExternalExclusionCertificate as ExternalExclusionCertificate,
    KroneckerChainCertificate as KroneckerChainCertificate,
    NearestClosedSupport as NearestClosedSupport,
    NotClosedCertificate as NotClosedCertificate,
    ReducedClosedCertificate as ReducedClosedCertificate,
    ShortenedChainCertificate as ShortenedChainCertificate,
    SingleFactorCertificate as SingleFactorCertificate,
    lu_window_count as lu_window_count,
)
from sparseopt.context import (
    Context as Context,
)
from sparseopt.errors import (
    Inconclusive as Inconclusive,
    ProblemError as ProblemError,
    SolveError as SolveError,
    SparseoptError as SparseoptError,
    TimeLimitReached as TimeLimitReached,
    UnknownNameError as UnknownNameError,
)
from sparseopt.finding import (
    Finding as Finding,
    SeriesFigure as SeriesFigure,
    Severity as Severity,
    SupportFigure as SupportFigure,
)
from sparseopt.kronecker import (
    Architecture as Architecture,
    KroneckerPattern as KroneckerPattern,
    KroneckerProduct as KroneckerProduct,
)
from sparseopt.manifest import (
    AnalyzerEntry as AnalyzerEntry,
    Manifest as Manifest,
    ReaderEntry as ReaderEntry,
    SolverEntry as SolverEntry,
)
from sparseopt.network import (
    Network as Network,
    load_network as load_network,
)
from sparseopt.parallel import (
    solve_all as solve_all,
)
from sparseopt.pathlifting import (
    LipschitzBound as LipschitzBound,
    LipschitzCertificate as LipschitzCertificate,
    LipschitzValue as LipschitzValue,
    PathCost as PathCost,
    PathCostCertificate as PathCostCertificate,
    PathCosts as PathCosts,
    PathDistance as PathDistance,
    PathDistanceCertificate as PathDistanceCertificate,
    PathDistanceValue as PathDistanceValue,
    PathLifting as PathLifting,
    PathNorm as PathNorm,
    PathNormCertificate as PathNormCertificate,
    PathNormValue as PathNormValue,
    PoolingShape as PoolingShape,
    bound_factor as bound_factor,
    generalization_bound as generalization_bound,
    path_count as path_count,
    path_lifting as path_lifting,
    path_table as path_table,
    pooling_shape as pooling_shape,
)
from sparseopt.planning import (
    Candidate as Candidate,
    Plan as Plan,
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
    PrunedTensor as PrunedTensor,
    Pruning as Pruning,
    pair_verdicts as pair_verdicts,
    prune as prune,
)
from sparseopt.reader import (
    Reader as Reader,
)
from sparseopt.recovery import (
    L1 as L1,
    Coefficients as Coefficients,
    DualityGapCertificate as DualityGapCertificate,
    GroupL1 as GroupL1,
    Penalty as Penalty,
    SparseRegression as SparseRegression,
)
from sparseopt.registry import (
    analyzers as analyzers,
    plugins as plugins,
    read as read,
    solvers as solvers,
)
from sparseopt.report import (
    Report as Report,
)
from sparseopt.rescaling import (
    Balance as Balance,
    RescalingEquivalence as RescalingEquivalence,
    RescalingGroups as RescalingGroups,
    are_rescaling_equivalent as are_rescaling_equivalent,
    canonical_factors as canonical_factors,
    canonicalize as canonicalize,
    neural_balance as neural_balance,
    random_factors as random_factors,
    rescale as rescale,
)
from sparseopt.serialization import (
    from_json as from_json,
    json_type as json_type,
    to_json as to_json,
)
from sparseopt.solution import (
    Solution as Solution,
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
    TrainingCertificate as TrainingCertificate,
    TrainingVerdict as TrainingVerdict,
)
from sparseopt.supports import (
    FixedSupportCertificate as FixedSupportCertificate,
    FixedSupportFactorization as FixedSupportFactorization,
    SupportedFactors as SupportedFactors,
)
from sparseopt.verdict import (
    Accepted as Accepted,
    Guarantee as Guarantee,
    Refused as Refused,
    Unavailable as Unavailable,
)
from sparseopt.verifying import (
    verify as verify,
)

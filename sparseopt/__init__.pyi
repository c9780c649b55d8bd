# The public names, each written once: `sparseopt/__init__.py` reads this file at run time and
# imports a name at its first use; type checkers read it as it is.
from sparseopt_butterfly.compression import compress as compress
from sparseopt_butterfly.fused_chain import FusedChain as FusedChain
from sparseopt_butterfly.kronecker_conv import KroneckerConv2d as KroneckerConv2d
from sparseopt_butterfly.kronecker_linear import KroneckerLinear as KroneckerLinear
from sparseopt_butterfly.multiplication import Multiplication as Multiplication
from sparseopt_butterfly.tensor_files import (
    load_safetensors as load_safetensors,
    save_safetensors as save_safetensors,
)
from sparseopt_pathnorm.training_norm import path_norm as path_norm

from sparseopt.butterfly.architecture import Architecture as Architecture
from sparseopt.butterfly.certificate import ButterflyCertificate as ButterflyCertificate
from sparseopt.butterfly.pattern import KroneckerPattern as KroneckerPattern
from sparseopt.butterfly.permuted import PermutedKroneckerProduct as PermutedKroneckerProduct
from sparseopt.butterfly.permuted_certificate import (
    PermutedButterflyCertificate as PermutedButterflyCertificate,
)
from sparseopt.butterfly.problem import ButterflyFactorization as ButterflyFactorization
from sparseopt.butterfly.product import KroneckerProduct as KroneckerProduct
from sparseopt.choosing.analysis import analyze as analyze
from sparseopt.choosing.manifest import (
    AnalyzerEntry as AnalyzerEntry,
    CriterionEntry as CriterionEntry,
    Manifest as Manifest,
    ReaderEntry as ReaderEntry,
    SolverEntry as SolverEntry,
)
from sparseopt.choosing.offers import (
    analyzers as analyzers,
    criteria as criteria,
    plugins as plugins,
    read as read,
    solvers as solvers,
)
from sparseopt.choosing.planning import plan as plan
from sparseopt.choosing.preference import preferences as preferences
from sparseopt.choosing.solving import solve as solve
from sparseopt.choosing.sweeps import solve_all as solve_all
from sparseopt.closedness.chain_limits import ChainLimitCertificate as ChainLimitCertificate
from sparseopt.closedness.chain_parts import (
    PeeledChainCertificate as PeeledChainCertificate,
    SubChainCertificate as SubChainCertificate,
)
from sparseopt.closedness.chains import (
    KroneckerChainCertificate as KroneckerChainCertificate,
    ShortenedChainCertificate as ShortenedChainCertificate,
)
from sparseopt.closedness.closed import (
    ComparableCertificate as ComparableCertificate,
    ReducedClosedCertificate as ReducedClosedCertificate,
    SingleFactorCertificate as SingleFactorCertificate,
)
from sparseopt.closedness.external import (
    ExternalExclusionCertificate as ExternalExclusionCertificate,
)
from sparseopt.closedness.nearest import (
    ClosedSupport as ClosedSupport,
    ClosedSupportCertificate as ClosedSupportCertificate,
    NearestClosedSupport as NearestClosedSupport,
)
from sparseopt.closedness.not_closed import NotClosedCertificate as NotClosedCertificate
from sparseopt.closedness.problem import (
    Closedness as Closedness,
    ClosednessVerdict as ClosednessVerdict,
)
from sparseopt.guarantees.facets import (
    FacetCertificate as FacetCertificate,
    FacetEvidence as FacetEvidence,
)
from sparseopt.guarantees.families import Family as Family
from sparseopt.guarantees.identifiability import (
    Identifiability as Identifiability,
    IdentifiabilityVerdict as IdentifiabilityVerdict,
)
from sparseopt.guarantees.one_hidden_layer import (
    OneHiddenLayerCertificate as OneHiddenLayerCertificate,
)
from sparseopt.guarantees.output_change import (
    OutputChange as OutputChange,
    OutputChangeCertificate as OutputChangeCertificate,
    OutputChangeValue as OutputChangeValue,
)
from sparseopt.guarantees.rank import (
    JacobianRankCertificate as JacobianRankCertificate,
    RankEvidence as RankEvidence,
)
from sparseopt.guarantees.second_network import (
    SecondNetworkCertificate as SecondNetworkCertificate,
)
from sparseopt.guarantees.structural import StructuralCertificate as StructuralCertificate
from sparseopt.interface.analyzer import Analyzer as Analyzer
from sparseopt.interface.certificate import (
    Certificate as Certificate,
    Check as Check,
    Steps as Steps,
    proves as proves,
)
from sparseopt.interface.context import Context as Context
from sparseopt.interface.errors import (
    Inconclusive as Inconclusive,
    ProblemError as ProblemError,
    SparseoptError as SparseoptError,
    TimeLimitReached as TimeLimitReached,
    UnknownNameError as UnknownNameError,
)
from sparseopt.interface.finding import (
    Finding as Finding,
    KeyFigure as KeyFigure,
    NetworkFigure as NetworkFigure,
    SeriesFigure as SeriesFigure,
    Severity as Severity,
    SupportFigure as SupportFigure,
)
from sparseopt.interface.json_type import json_type as json_type
from sparseopt.interface.plan import Candidate as Candidate, Plan as Plan, SolveError as SolveError
from sparseopt.interface.problem import Problem as Problem
from sparseopt.interface.reader import Reader as Reader
from sparseopt.interface.report import Report as Report
from sparseopt.interface.solution import Solution as Solution, Status as Status
from sparseopt.interface.solver import Solver as Solver
from sparseopt.interface.verdict import (
    Accepted as Accepted,
    Guarantee as Guarantee,
    Refused as Refused,
    Unavailable as Unavailable,
)
from sparseopt.inverse.basis_pursuit import (
    BasisPursuit as BasisPursuit,
    PursuitAnswer as PursuitAnswer,
)
from sparseopt.inverse.cardinality import CardinalityRegression as CardinalityRegression
from sparseopt.inverse.certificate import DualityGapCertificate as DualityGapCertificate
from sparseopt.inverse.coefficients import Coefficients as Coefficients
from sparseopt.inverse.composite import Ridge as Ridge, SparseGroupL1 as SparseGroupL1
from sparseopt.inverse.constrained import (
    BallCertificate as BallCertificate,
    ConstrainedRegression as ConstrainedRegression,
)
from sparseopt.inverse.deconvolution import (
    BlindDeconvolution as BlindDeconvolution,
    BlindDeconvolutionCertificate as BlindDeconvolutionCertificate,
    FilterAndSignal as FilterAndSignal,
)
from sparseopt.inverse.greedy_recovery import (
    GreedyFailureCertificate as GreedyFailureCertificate,
    GreedyRecoveryCertificate as GreedyRecoveryCertificate,
)
from sparseopt.inverse.infeasible_certificate import (
    InfeasibleCertificate as InfeasibleCertificate,
)
from sparseopt.inverse.known_support import (
    KnownSupportRegression as KnownSupportRegression,
    SupportedCoefficients as SupportedCoefficients,
)
from sparseopt.inverse.known_support_certificate import (
    KnownSupportCertificate as KnownSupportCertificate,
)
from sparseopt.inverse.matrix_penalties import (
    NuclearNorm as NuclearNorm,
    TotalVariation as TotalVariation,
)
from sparseopt.inverse.penalty import (
    L1 as L1,
    GroupL1 as GroupL1,
    Penalty as Penalty,
    PenaltySum as PenaltySum,
)
from sparseopt.inverse.problem import SparseRegression as SparseRegression
from sparseopt.inverse.pursuit_certificate import PursuitCertificate as PursuitCertificate
from sparseopt.inverse.recovery import (
    RecoveryGuarantee as RecoveryGuarantee,
    RecoveryVerdict as RecoveryVerdict,
)
from sparseopt.inverse.recovery_bound import (
    NullSpaceBoundCertificate as NullSpaceBoundCertificate,
)
from sparseopt.inverse.recovery_counterexamples import (
    KernelCertificate as KernelCertificate,
    NearKernelCertificate as NearKernelCertificate,
)
from sparseopt.inverse.recovery_proofs import (
    CoherenceCertificate as CoherenceCertificate,
    DualVectorsCertificate as DualVectorsCertificate,
    ExactRecoveryCertificate as ExactRecoveryCertificate,
)
from sparseopt.inverse.rescaling import (
    OptimalRescaling as OptimalRescaling,
    RescalingCertificate as RescalingCertificate,
    Scalings as Scalings,
)
from sparseopt.inverse.square_root import (
    SquareRootCertificate as SquareRootCertificate,
    SquareRootLasso as SquareRootLasso,
)
from sparseopt.inverse.subset_certificate import SubsetCertificate as SubsetCertificate
from sparseopt.judging.serialization import from_json as from_json, to_json as to_json
from sparseopt.judging.verifying import verify as verify
from sparseopt.networks.network import Network as Network
from sparseopt.pathnorm.lipschitz import (
    LipschitzBound as LipschitzBound,
    LipschitzCertificate as LipschitzCertificate,
    LipschitzValue as LipschitzValue,
)
from sparseopt.pathnorm.path_cost import (
    PathCost as PathCost,
    PathCostCertificate as PathCostCertificate,
    PathCosts as PathCosts,
)
from sparseopt.pathnorm.path_distance import (
    PathDistance as PathDistance,
    PathDistanceCertificate as PathDistanceCertificate,
    PathDistanceValue as PathDistanceValue,
)
from sparseopt.pathnorm.path_norm import (
    PathNorm as PathNorm,
    PathNormCertificate as PathNormCertificate,
    PathNormValue as PathNormValue,
)
from sparseopt.pathnorm.path_table import path_table as path_table
from sparseopt.quantization.exponent_certificates import (
    ExponentCycleCertificate as ExponentCycleCertificate,
    ExponentFitCertificate as ExponentFitCertificate,
)
from sparseopt.quantization.exponents import (
    ExponentFit as ExponentFit,
    ExponentFitting as ExponentFitting,
)
from sparseopt.quantization.number_format import (
    NumberFormat as NumberFormat,
    significand as significand,
)
from sparseopt.quantization.product import ProductQuantization as ProductQuantization
from sparseopt.quantization.product_certificate import (
    ProductQuantizationCertificate as ProductQuantizationCertificate,
)
from sparseopt.quantization.rank_one import (
    RankOneQuantization as RankOneQuantization,
    RankOneTerm as RankOneTerm,
)
from sparseopt.quantization.rank_one_certificate import RankOneCertificate as RankOneCertificate
from sparseopt.supports.certificate import FixedSupportCertificate as FixedSupportCertificate
from sparseopt.supports.coercive_certificate import CoerciveCertificate as CoerciveCertificate
from sparseopt.supports.factors import SupportedFactors as SupportedFactors
from sparseopt.supports.problem import FixedSupportFactorization as FixedSupportFactorization
from sparseopt.tools.change_ends import ChangeEnds as ChangeEnds
from sparseopt.tools.decay_path import DecayPath as DecayPath, decay_path as decay_path
from sparseopt.tools.depth import (
    DepthProfile as DepthProfile,
    norms_along_depth as norms_along_depth,
)
from sparseopt.tools.drawing.entry import draw as draw
from sparseopt.tools.exponents import fit_exponents as fit_exponents
from sparseopt.tools.generalization import (
    PoolingShape as PoolingShape,
    bound_factor as bound_factor,
    generalization_bound as generalization_bound,
    pooling_shape as pooling_shape,
)
from sparseopt.tools.growing.growth import (
    WeightGrowth as WeightGrowth,
    weight_growth as weight_growth,
)
from sparseopt.tools.largest_change import (
    LargestChange as LargestChange,
    largest_change as largest_change,
)
from sparseopt.tools.lifting import PathLifting as PathLifting, path_lifting as path_lifting
from sparseopt.tools.lu_windows import lu_window_count as lu_window_count
from sparseopt.tools.optimality_gap import optimality_gap as optimality_gap
from sparseopt.tools.path_counts import path_count as path_count
from sparseopt.tools.progress import ProgressBar as ProgressBar
from sparseopt.tools.pruning.entry import prune as prune
from sparseopt.tools.pruning.results import PrunedTensor as PrunedTensor, Pruning as Pruning
from sparseopt.tools.pruning.supports import (
    PairVerdict as PairVerdict,
    pair_verdicts as pair_verdicts,
)
from sparseopt.tools.quantizing.entry import quantize as quantize
from sparseopt.tools.quantizing.report import (
    ChangeBound as ChangeBound,
    MeasuredChange as MeasuredChange,
    Quantization as Quantization,
    QuantizedLayer as QuantizedLayer,
)
from sparseopt.tools.reading.loading import load_network as load_network
from sparseopt.tools.regularization import path as path
from sparseopt.tools.rescaling.balance import (
    Balance as Balance,
    canonical_factors as canonical_factors,
    canonicalize as canonicalize,
    neural_balance as neural_balance,
)
from sparseopt.tools.rescaling.equivalence import (
    RescalingEquivalence as RescalingEquivalence,
    are_rescaling_equivalent as are_rescaling_equivalent,
)
from sparseopt.tools.rescaling.factors import random_factors as random_factors, rescale as rescale
from sparseopt.tools.rescaling.groups import RescalingGroups as RescalingGroups
from sparseopt.tools.rescaling.removal import remove_dead as remove_dead
from sparseopt.tools.writing.entry import write as write
from sparseopt.training.interpolation import (
    InterpolantCertificate as InterpolantCertificate,
    InterpolatingNetwork as InterpolatingNetwork,
    MinimumNormInterpolant as MinimumNormInterpolant,
)
from sparseopt.training.opposite_targets import (
    OppositeTargetsCertificate as OppositeTargetsCertificate,
)
from sparseopt.training.repeated_pattern import (
    RepeatedPatternCertificate as RepeatedPatternCertificate,
)
from sparseopt.training.sparse_training import (
    SparseTraining as SparseTraining,
    TrainingCertificate as TrainingCertificate,
    TrainingVerdict as TrainingVerdict,
)
from sparseopt.training.two_layer_certificate import (
    TwoLayerReLUCertificate as TwoLayerReLUCertificate,
)
from sparseopt.training.two_layer_network import TwoLayerNetwork as TwoLayerNetwork
from sparseopt.training.two_layer_relu import TwoLayerReLU as TwoLayerReLU

__version__: str

"""What `scaling.py` measures: problems that grow along one axis, and who answers them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scaling_problems as problems
from scaling_problems import Symbols

import sparseopt as so


@dataclass(frozen=True)
class Case:
    """Problems that grow along an axis.

    Attributes
    ----------
    axis : str
        What grows, in words.
    sizes : tuple of int
        At least a decade, unless the work outgrows a minute before.
    make : callable
        From a size to the problem and what the letters of docstrings are in it.
    solvers : tuple of str
        Who is asked.
    options : mapping
        For `solve`.
    """

    axis: str
    sizes: tuple[int, ...]
    make: Callable[[int], tuple[Any, Symbols]]
    solvers: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Tool:
    """What users call beside solvers.

    Attributes
    ----------
    name : str
    axis, sizes
        As in `Case`.
    make : callable
        From a size to the call and what the letters are.
    engine : object
        Whose docstring states the cost.
    """

    name: str
    axis: str
    sizes: tuple[int, ...]
    make: Callable[[int], tuple[Callable[[], Any], Symbols]]
    engine: Any


def _multiplied(n: int, batch: int) -> tuple[Callable[[], Any], Symbols]:
    product = problems.butterfly(n)
    x = problems.generator(n).standard_normal((n, batch))
    product @ x  # it chooses its methods once for each batch
    return lambda: product @ x, {"z": product.nnz, "n": n, "b": batch}


def _canonical(width: int) -> tuple[Callable[[], Any], Symbols]:
    network = problems.mlp(width)
    return lambda: so.canonicalize(network), problems.letters(network)


def _verified(n: int) -> tuple[Callable[[], Any], Symbols]:
    problem, symbols = problems.dyadic_target(n)
    product = so.solve(problem, "hierarchical_numpy", check=False).answer
    return lambda: so.verify(so.ButterflyCertificate(problem, product)), symbols


TOOLS: dict[str, Tool] = {
    "multiplication": Tool(
        "@",
        "rows of a float64 butterfly, 64 columns",
        (512, 2048, 8192),
        lambda n: _multiplied(n, 64),
        so.KroneckerProduct,
    ),
    "multiplication, by columns": Tool(
        "@",
        "columns that a float64 butterfly of 4096 rows is multiplied by",
        (30, 100, 300),
        lambda batch: _multiplied(4096, batch),
        so.KroneckerProduct,
    ),
    "canonical form": Tool(
        "canonicalize",
        "units of four dense layers",
        (100, 300, 1000),
        _canonical,
        so.canonicalize,
    ),
    "check of a factorization": Tool(
        "verify",
        "rows of a float32 target",
        (256, 512, 1024, 4096),
        _verified,
        so.ButterflyCertificate,
    ),
}

CASES: dict[str, Case] = {
    "closedness, random, by rows": Case(
        "rows and columns of 0.2 full supports, 64 terms",
        (64, 128, 256, 512, 1024),
        lambda n: problems.supports(n, 64, n, 0.2, 0.2),
        ("lu_pattern", "matched_curves"),
    ),
    "closedness, random, by terms": Case(
        "terms of 0.2 full supports, 128 rows and columns",
        (32, 64, 128, 256, 512),
        lambda r: problems.supports(128, r, 128, 0.2, 0.2),
        ("lu_pattern", "matched_curves"),
    ),
    "closedness, nested, by rows": Case(
        "rows and columns, 32 nested rectangles",
        (64, 128, 256, 512, 1024),
        lambda m: problems.staircase(m, 32),
        ("lu_pattern", "comparable_rectangles"),
    ),
    "closedness, nested, by terms": Case(
        "nested rectangles, 512 rows and columns",
        (32, 64, 128, 256, 512),
        lambda r: problems.staircase(512, r),
        ("lu_pattern", "comparable_rectangles"),
    ),
    "closedness, dense, by rows": Case(
        "rows and columns of 0.5 full supports, 16 terms",
        (32, 64, 128, 320),
        lambda n: problems.supports(n, 16, n, 0.5, 0.5),
        ("blocked_windows",),
    ),
    "closedness, dense, by terms": Case(
        "terms of 0.5 full supports, 64 rows and columns",
        (8, 16, 32, 80),
        lambda r: problems.supports(64, r, 64, 0.5, 0.5),
        ("blocked_windows",),
    ),
    "closedness, many terms": Case(
        "rows and columns of 0.9 full supports, twice as many terms",
        (4, 8, 16, 40),
        lambda m: problems.supports(m, 2 * m, m, 0.9, 0.9),
        ("null_points",),
    ),
    "closedness, blocks": Case(
        "blocks on a diagonal, 3 x 3 with 2 terms",
        (4, 8, 16, 32, 64),
        problems.block_supports,
        ("reduction", "lu_pattern", "comparable_rectangles"),
    ),
    "closedness, LU": Case(
        "size of a pair of triangles",
        (2, 4, 8, 20),
        problems.triangle_chain,
        ("limit_curves",),
    ),
    "closedness, z3": Case(
        "size of a pair of triangles",
        (2, 4, 8, 20),
        problems.triangle_chain,
        ("external_exclusion",),
        {"allow_external": True},
    ),
    "closedness, butterfly": Case(
        "rows of the supports of a butterfly",
        (16, 32, 64, 128, 256),
        problems.dyadic_supports,
        ("chain_reduction", "peeled_chains"),
    ),
    "closedness, chain": Case(
        "rows of three random supports",
        (64, 128, 256, 640),
        problems.random_chain,
        ("chain_curves",),
    ),
    "closedness, shortened chain": Case(
        "blocks on a diagonal, 3 x 3 with 2 terms, and the identity",
        (2, 4, 8, 20),
        problems.shortened_chain,
        ("chain_reduction", "peeled_chains"),
    ),
    "repair": Case(
        "rows, columns and terms",
        (8, 16, 32, 80),
        problems.repairable,
        ("window_repair",),
        {"seconds": 1.0},
    ),
    "training": Case(
        "units of all three layers, 0.4 full",
        (8, 16, 32, 64, 128),
        problems.training_supports,
        ("opposite_targets", "training_conditions"),
    ),
    "factorization": Case(
        "rows of a float32 target",
        (256, 512, 1024, 2048, 4096),
        problems.dyadic_target,
        ("hierarchical_numpy", "hierarchical_numba"),
    ),
    "factorization, tensor": Case(
        "rows of a float32 tensor",
        (256, 512, 1024, 4096),
        problems.dyadic_tensor,
        ("hierarchical_torch",),
    ),
    "factorization, stored": Case(
        "rows of a float32 dask array, chunks of 512 x 512",
        (256, 512, 1024, 4096),
        problems.stored_target,
        ("hierarchical_numpy", "hierarchical_dask"),
    ),
    "factorization, by descent": Case(
        "rows of a float64 target",
        (8, 32, 128),
        lambda n: problems.dyadic_target(n, np.float64),
        ("butterfly_alternating", "butterfly_adam"),
    ),
    "factorization, unknown orders": Case(
        "rows of a shuffled butterfly with noise",
        (8, 16, 32, 128),
        problems.shuffled_target,
        ("permuted_hierarchical",),
    ),
    "fixed supports, blocks": Case(
        "rows, in 4 blocks",
        (64, 128, 256, 640),
        lambda n: problems.in_blocks(n, 0.0),
        ("block_svd",),
    ),
    "fixed supports, blocks, decay": Case(
        "rows, in 4 blocks",
        (64, 128, 256, 640),
        lambda n: problems.in_blocks(n, 1.0),
        ("block_thresholding",),
    ),
    "fixed supports, overlapping": Case(
        "rows, a quarter as many terms",
        (4, 8, 16, 40),
        lambda n: problems.overlapping(n, 0.0),
        ("alternating_least_squares", "gradient_descent"),
    ),
    "fixed supports, overlapping, decay": Case(
        "rows, a quarter as many terms",
        (4, 8, 16, 40),
        lambda n: problems.overlapping(n, 0.5),
        ("coercive_descent",),
    ),
    "fixed supports, a cell": Case(
        "rows of a rectangle with one cell",
        (4, 8, 16, 32, 64),
        problems.one_cell,
        ("coercive_intervals",),
    ),
    "path-norm, dense": Case(
        "units of four dense layers",
        (200, 600, 2000),
        lambda n: problems.of_network(so.PathNorm, problems.mlp(n)),
        ("one_pass", "one_pass_torch"),
    ),
    "path-norm, convolutions": Case(
        "channels of two convolutions of 16 x 16",
        (8, 32, 100),
        lambda n: problems.of_network(so.PathNorm, problems.image_network(n)),
        ("one_pass", "one_pass_torch"),
    ),
    "path-norm, q = inf": Case(
        "units of four dense layers",
        (100, 300, 1000),
        lambda n: problems.of_network(lambda net: so.PathNorm(net, math.inf), problems.mlp(n)),
        ("one_pass",),
    ),
    "path count": Case(
        "units of four dense layers",
        (50, 150, 500),
        lambda n: problems.of_network(lambda net: so.PathNorm(net, 0), problems.mlp(n)),
        ("one_pass",),
    ),
    "path-norm, by paths": Case(
        "units of two dense layers",
        (2, 4, 8, 20),
        lambda n: problems.of_network(so.PathNorm, problems.mlp(n, 2)),
        ("path_enumeration",),
    ),
    "path cost, dense": Case(
        "units of four dense layers",
        (200, 600, 2000),
        lambda n: problems.of_network(so.PathCost, problems.mlp(n)),
        ("path_costs", "path_costs_torch"),
    ),
    "path cost, convolutions": Case(
        "channels of two convolutions of 16 x 16",
        (8, 32, 80),
        lambda n: problems.of_network(so.PathCost, problems.image_network(n)),
        ("path_costs", "path_costs_torch"),
    ),
    "Lipschitz bound": Case(
        "units of four dense layers",
        (100, 300, 1000),
        lambda n: problems.of_network(so.LipschitzBound, problems.mlp(n)),
        ("lipschitz_passes",),
    ),
    "Lipschitz bound, 1 to inf": Case(
        "units of four dense layers",
        (100, 300, 1000),
        lambda n: problems.of_network(
            lambda net: so.LipschitzBound(net, 1, math.inf), problems.mlp(n)
        ),
        ("lipschitz_table",),
    ),
    "Lipschitz bound, spectral": Case(
        "units of four dense layers",
        (100, 300, 1000),
        lambda n: problems.of_network(lambda net: so.LipschitzBound(net, 2, 2), problems.mlp(n)),
        ("lipschitz_passes",),
    ),
    "path distance": Case(
        "units of four dense layers",
        (100, 300, 1000),
        lambda n: problems.of_two(so.PathDistance, n, 0.5),
        ("distance_passes",),
    ),
    "path distance, signs": Case(
        "units of four dense layers",
        (100, 300, 1000),
        lambda n: problems.of_two(so.PathDistance, n, -1.0),
        ("distance_three_passes",),
    ),
    "path distance, by paths": Case(
        "units of two dense layers",
        (2, 4, 8, 20),
        lambda n: (
            so.PathDistance(problems.mlp(n, 2), problems.mlp(n, 2, seed=1)),
            problems.letters(problems.mlp(n, 2)),
        ),
        ("distance_enumeration",),
    ),
    "output change": Case(
        "units of four dense layers",
        (30, 100, 300),
        lambda n: problems.of_two(lambda a, b: so.OutputChange(a, b, -1.0, 1.0), n, 0.5),
        ("signed_intervals", "path_metric", "backward_substitution"),
    ),
    "identifiability": Case(
        "inputs and hidden units of one layer",
        (2, 4, 8, 20),
        problems.identifiable,
        ("one_hidden_layer", "jacobian_rank", "facets_of_units"),
    ),
    "lasso, by rows": Case(
        "rows, 1000 columns",
        (300, 1000, 3000),
        lambda m: problems.lasso(m, 1000),
        ("working_set", "scikit_learn", "hadamard", "celer"),
    ),
    "lasso, by columns": Case(
        "columns, 300 rows",
        (1000, 3000, 10000),
        lambda n: problems.lasso(300, n),
        ("working_set", "scikit_learn", "hadamard", "skglm", "celer"),
    ),
    "lasso, cones, by rows": Case(
        "rows, 200 columns",
        (50, 100, 200, 500),
        lambda m: problems.lasso(m, 200),
        ("cvxpy",),
    ),
    "lasso, cones, by columns": Case(
        "columns, 100 rows",
        (100, 200, 400, 1000),
        lambda n: problems.lasso(100, n),
        ("cvxpy",),
    ),
    "lasso, sparse design": Case(
        "columns, a quarter as many rows, 1 % stored",
        (1000, 2000, 4000, 10000),
        problems.sparse_lasso,
        ("working_set", "scikit_learn", "celer"),
    ),
    "basis pursuit": Case(
        "rows, three times as many columns",
        (30, 60, 120, 300),
        problems.basis_pursuit,
        ("highs", "douglas_rachford", "pursuit_cvxpy", "spgl1"),
    ),
    "basis pursuit, noise": Case(
        "rows, three times as many columns",
        (30, 100, 300),
        lambda m: problems.basis_pursuit(m, 1, 0.05),
        ("lasso_path", "spgl1"),
    ),
    "least norm": Case(
        "rows, three times as many columns",
        (30, 100, 300, 1000),
        lambda m: problems.basis_pursuit(m, 2),
        ("least_norm",),
    ),
    "regression in a ball": Case(
        "rows, three times as many columns",
        (30, 100, 300, 1000),
        problems.in_a_ball,
        ("ball_path",),
    ),
    "square-root lasso": Case(
        "rows, three times as many columns",
        (30, 100, 300, 1000),
        problems.square_root,
        ("square_root_path",),
    ),
    "subset, all": Case(
        "rows, twice as many columns, 3 chosen",
        (10, 20, 40, 100),
        lambda m: problems.cardinality(m, 3),
        ("best_subset",),
    ),
    "subset, greedy": Case(
        "rows, twice as many columns, a twentieth chosen",
        (50, 100, 200, 500, 1000),
        problems.cardinality,
        ("omp", "cosamp", "htp", "iht"),
    ),
    "subset, bound": Case(
        "rows, twice as many columns, a twentieth chosen",
        (6, 20, 60),
        problems.cardinality,
        ("branch_and_bound",),
    ),
    "known support": Case(
        "rows, a quarter as many columns",
        (100, 300, 1000, 2000),
        problems.known_support,
        ("closed_form_support",),
    ),
    "recovery, sparsity": Case(
        "rows, twice as many columns",
        (10, 20, 40, 100),
        lambda m: problems.recovered(m, "sparsity"),
        ("recovery_coherence", "recovery_relaxation", "recovery_null_space"),
    ),
    "recovery, signs": Case(
        "rows, twice as many columns",
        (20, 40, 100, 200),
        lambda m: problems.recovered(m, "signs"),
        ("recovery_conditions", "recovery_null_space"),
    ),
    "recovery, phases": Case(
        "rows, twice as many columns",
        (20, 40, 100, 200),
        lambda m: problems.recovered(m, "complex"),
        ("recovery_phases",),
    ),
    "recovery, omp": Case(
        "rows, twice as many columns",
        (20, 40, 100, 200),
        lambda m: problems.recovered(m, "omp"),
        ("recovery_greedy",),
    ),
    "gated network": Case(
        "samples, 10 features, 50 gates",
        (30, 100, 300, 1000),
        lambda n: problems.relu_training(n, 10, 50),
        ("gated_newton", "gated_group_lasso"),
    ),
    "ReLU network": Case(
        "samples, 2 features",
        (4, 8, 16, 40),
        lambda n: problems.relu_training(n, 2, 0),
        ("relu_cone_program",),
    ),
    "gated network, 2 outputs": Case(
        "samples, 3 features, 10 gates",
        (8, 16, 32, 80),
        lambda n: problems.relu_training(n, 3, 10, 2),
        ("gated_nuclear_norm",),
    ),
    "interpolant": Case("points", (10, 30, 100, 300), problems.interpolated, ("interpolant",)),
    "blind deconvolution": Case(
        "entries of the target",
        (10, 30, 100, 300),
        problems.spike_target,
        ("blind_spike", "blind_descent"),
    ),
    "rescaling": Case(
        "components", (10, 30, 100, 300), problems.norms_and_degrees, ("rescaling_closed_form",)
    ),
    "quantization": Case(
        "rows of a butterfly, 5 digits",
        (64, 128, 256, 512, 1024),
        problems.rounded_product,
        ("nearest", "left_to_right", "right_to_left", "pairwise", "swept"),
    ),
    "quantization, two factors": Case(
        "rows of a monarch product, 5 digits",
        (16, 64, 256, 1024),
        problems.rounded_pair,
        ("two_factors",),
    ),
    "exponents": Case(
        "rows of a butterfly",
        (64, 256, 1024, 4096),
        problems.fitted_exponents,
        ("difference_constraints",),
    ),
    "rank one": Case(
        "entries of both vectors, 5 digits",
        (30, 100, 300, 1000),
        problems.two_vectors,
        ("rank_one_exact",),
    ),
    "rank one, complex": Case(
        "entries of both vectors, 5 digits",
        (10, 20, 50, 100),
        lambda n: problems.two_vectors(n, True),
        ("rank_one_complex",),
    ),
}

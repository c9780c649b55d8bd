"""What the plugin offers; data only, so that listing plugins imports nothing else."""

from sparseopt import AnalyzerEntry, Guarantee, Manifest, SolverEntry

MANIFEST = Manifest(
    name="template",
    api=1,
    summary="Example of a third party's plugin",
    solvers=(
        SolverEntry(
            name="template_coordinate_descent",
            path="sparseopt_plugin_template.coordinate_descent:CoordinateDescent",
            problem="sparseopt:SparseRegression",
            guarantee=Guarantee.CERTIFIED,
            summary="cyclic coordinate descent in NumPy, for dense designs",
            citations=("Friedman, Hastie, Tibshirani, J. Stat. Softw. 33(1), 2010",),
            structure={"penalty": ("L1",)},
        ),
        SolverEntry(
            name="template_active_set",
            path="sparseopt_plugin_template.active_set:ActiveSet",
            problem="sparseopt_plugin_template:NonnegativeLeastSquares",
            guarantee=Guarantee.CERTIFIED,
            summary="Lawson and Hanson's active set method, from SciPy",
            citations=("Lawson, Hanson, Solving Least Squares Problems, 1974",),
            requires=("scipy",),
            remedy="pip install scipy",
        ),
    ),
    analyzers=(
        AnalyzerEntry(
            name="template_selection",
            path="sparseopt_plugin_template.selection:Selection",
            subject="sparseopt:SparseRegression",
            summary="how many coefficients a lasso selects",
            rules={
                "selected-coefficients": "info, warning: how many coefficients a lasso selects",
            },
        ),
    ),
    json_types=(
        "sparseopt_plugin_template.nonnegative:NonnegativeLeastSquares",
        "sparseopt_plugin_template.nonnegative:OptimalityCertificate",
    ),
)

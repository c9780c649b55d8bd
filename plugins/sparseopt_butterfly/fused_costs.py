"""Measured coefficients of the compiled method's predicted time; microseconds per count.

Made by ``benchmarks/fused_calibration.py --write``; what the counts are stands in
`sparseopt_butterfly.fused_chain.FusedChain.counts`.
"""

COEFFICIENTS: dict[tuple[str, str], tuple[float, ...]] = {
    ("real", "one"): (1.3, 0.00621, 0.0666, 0.0, 0.0, 0.0, 0.0),
    ("real", "many"): (2.21, 0.00332, 0.0, 0.00252, 0.00622, 0.00237, 0.242),
    ("complex", "one"): (1.44, 0.00439, 0.0805, 0.0, 0.0, 0.0, 0.0),
    ("complex", "many"): (2.5, 0.00306, 0.0, 0.0, 0.011, 0.00541, 0.355),
}

"""Measured coefficients of the compiled method's predicted time; microseconds per count.

Made by ``benchmarks/fused_calibration.py --write``; what the counts are stands in
`sparseopt_kronecker.fused_chain.FusedChain.counts`.
"""

COEFFICIENTS: dict[tuple[str, str], tuple[float, ...]] = {
    ("real", "one"): (1.14, 0.00488, 0.062, 0.0, 0.0, 0.0, 0.0),
    ("real", "many"): (2.04, 0.00244, 0.0, 0.00239, 0.00613, 0.00185, 0.216),
    ("complex", "one"): (1.37, 0.00389, 0.0743, 0.0, 0.0, 0.0, 0.0),
    ("complex", "many"): (2.27, 0.000424, 0.00774, 0.0, 0.0109, 0.0, 0.319),
}

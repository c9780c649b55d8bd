"""Measured coefficients of the multiplication's cost model; microseconds per count.

Made by ``benchmarks/multiplication_calibration.py --write``; what the seven counts are stands in
`sparseopt_butterfly.multiplication._features`.
"""

COEFFICIENTS: dict[tuple[str, str, str], tuple[float, ...]] = {
    ("matmul", "real", "one"): (2.51, 0.0357, 0.0168, 0.155, 0.0, 0.0, 0.0),
    ("matmul", "real", "few"): (2.48, 0.0327, 0.0233, 0.039, 0.0048, 0.00542, 0.0397),
    ("matmul", "real", "many"): (2.32, 0.0309, 0.037, 0.0118, 0.00507, 0.00411, 0.00136),
    ("matmul", "complex", "one"): (2.33, 0.0298, 0.0236, 0.155, 0.0, 0.0, 0.0),
    ("matmul", "complex", "few"): (2.15, 0.0606, 0.069, 0.049, 0.013, 0.0969, 0.0),
    ("matmul", "complex", "many"): (2.3, 0.0599, 0.106, 0.0441, 0.012, 0.0438, 0.0),
    ("gathered", "real", "one"): (2.71, 0.0348, 0.0138, 0.178, 0.0, 0.0, 0.0),
    ("gathered", "real", "few"): (2.84, 0.0405, 0.0227, 0.0603, 0.00349, 0.0, 0.0),
    ("gathered", "real", "many"): (2.65, 0.033, 0.0203, 0.0224, 0.00475, 0.00761, 0.0),
    ("gathered", "complex", "one"): (2.52, 0.0302, 0.0188, 0.146, 0.0, 0.0, 0.0),
    ("gathered", "complex", "few"): (2.64, 0.0627, 0.0621, 0.0682, 0.00771, 0.0573, 0.0),
    ("gathered", "complex", "many"): (2.76, 0.0545, 0.0515, 0.0546, 0.0108, 0.0663, 0.0),
    ("csr", "real", "one"): (3.8, 0.000321, 0.108, 0.0, 0.0, 0.0, 0.0),
    ("csr", "real", "few"): (3.83, 0.00103, 0.417, 0.0, 0.0241, 0.0, 0.0),
    ("csr", "real", "many"): (3.47, 0.0027, 0.341, 0.00918, 0.0287, 0.00347, 0.0),
    ("csr", "complex", "one"): (3.65, 0.00123, 0.123, 0.0, 0.0, 0.0, 0.0),
    ("csr", "complex", "few"): (3.49, 0.0, 0.0, 0.0472, 0.289, 0.0662, 0.0),
    ("csr", "complex", "many"): (3.05, 0.0, 0.0, 0.0, 0.339, 0.0957, 0.0),
    ("dense", "real", "one"): (0.0, 1.01, 0.0173, 0.0, 0.0, 0.0, 0.0),
    ("dense", "real", "few"): (0.0, 0.634, 0.0302, 0.0, 0.00767, 0.0, 0.0),
    ("dense", "real", "many"): (0.0, 0.869, 0.0402, 0.0, 0.00522, 0.0491, 0.0),
    ("dense", "complex", "one"): (0.0, 0.849, 0.0242, 0.0, 0.0, 0.0, 0.0),
    ("dense", "complex", "few"): (0.0, 0.865, 0.0666, 0.0, 0.0093, 0.0, 0.0),
    ("dense", "complex", "many"): (0.0, 1.13, 0.081, 0.0284, 0.0107, 0.0399, 0.0),
}

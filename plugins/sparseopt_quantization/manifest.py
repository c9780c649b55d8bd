"""What this plugin offers; data only."""

from sparseopt.choosing.manifest import Manifest

MANIFEST = Manifest(
    name="quantization",
    api=1,
    summary="Rank-one terms and Kronecker-sparse products in numbers of few bits",
)

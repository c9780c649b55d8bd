"""What this plugin offers; data only."""

from sparseopt.manifest import Manifest, ReaderEntry, SolverEntry
from sparseopt.verdict import Guarantee

_REMEDY = "pip install 'sparseopt[pathlifting]'"

MANIFEST = Manifest(
    name="pathlifting",
    api=1,
    summary="Networks from ONNX and PyTorch, and their path-norms",
    solvers=(
        SolverEntry(
            name="one_pass",
            path="sparseopt_pathlifting.one_pass:OnePass",
            problem="sparseopt:PathNorm",
            guarantee=Guarantee.EXACT,
            summary="path-norm by one pass through the layers; any network",
            citations=("arXiv:2310.01225",),
        ),
        SolverEntry(
            name="path_enumeration",
            path="sparseopt_pathlifting.path_enumeration:PathEnumeration",
            problem="sparseopt:PathNorm",
            guarantee=Guarantee.EXACT,
            summary="path-norm by listing every path, in exact arithmetic; small networks",
            citations=("arXiv:2310.01225",),
        ),
    ),
    readers=(
        ReaderEntry(
            name="onnx",
            path="sparseopt_pathlifting.onnx_reader:OnnxReader",
            produces="sparseopt:Network",
            summary="ONNX files and ModelProto objects",
            suffixes=(".onnx",),
            types=("onnx.onnx_ml_pb2:ModelProto", "onnx.onnx_pb2:ModelProto"),
            requires=("onnx",),
            remedy=_REMEDY,
        ),
    ),
)

"""What this plugin offers; data only."""

from sparseopt.choosing.manifest import Manifest, ReaderEntry

MANIFEST = Manifest(
    name="onnx",
    api=1,
    former_names=("pathlifting",),
    summary="networks from ONNX files",
    readers=(
        ReaderEntry(
            name="onnx",
            path="sparseopt_onnx.reader:OnnxReader",
            produces="sparseopt:Network",
            summary="ONNX files and ModelProto objects",
            suffixes=(".onnx",),
            types=("onnx.onnx_ml_pb2:ModelProto", "onnx.onnx_pb2:ModelProto"),
            requires=("onnx",),
            remedy="pip install 'sparseopt[onnx]'",
        ),
    ),
)

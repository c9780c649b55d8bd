"""What this plugin offers; data only."""

from sparseopt.choosing.manifest import EngineEntry, Manifest, SolverEntry
from sparseopt.interface.verdict import Guarantee

_REMEDY = "pip install 'sparseopt[gpu]' (CUDA 13) or 'sparseopt[gpu12]' (CUDA 12)"
_PROBE = "sparseopt_cupy.device:described"

MANIFEST = Manifest(
    name="cupy",
    api=1,
    summary="Kronecker-sparse factors on CUDA devices, by kernels compiled through CuPy",
    solvers=(
        SolverEntry(
            name="hierarchical_cupy",
            path="sparseopt_cupy.hierarchical_cupy:HierarchicalCupy",
            problem="sparseopt:ButterflyFactorization",
            guarantee=Guarantee.CERTIFIED,
            summary="left to right on a CUDA device, one launch per level or for two of them",
            citations=("arXiv:2411.04506",),
            requires=("cupy",),
            remedy=_REMEDY,
            structure={"permutations": ("known",), "place": ("device",)},
            device_probe=_PROBE,
        ),
    ),
    engines=(
        EngineEntry(
            name="CudaMultiplication",
            path="sparseopt_cupy.multiplication:CudaMultiplication",
            summary="multiplication of arrays on a CUDA device by a Kronecker-sparse product",
            requires=("cupy",),
            remedy=_REMEDY,
            device_probe=_PROBE,
        ),
        EngineEntry(
            name="CudaChain",
            path="sparseopt_cupy.torch_chain:CudaChain",
            summary="the same for torch tensors, with gradients",
            requires=("cupy", "torch"),
            remedy=f"{_REMEDY}, and 'sparseopt[torch]'",
            device_probe=_PROBE,
        ),
    ),
)

"""What this plugin offers; data only."""

from sparseopt.choosing.manifest import Manifest, ReaderEntry

MANIFEST = Manifest(
    name="torch",
    api=1,
    former_names=("pathlifting",),
    summary="networks from PyTorch modules and programs",
    readers=(
        ReaderEntry(
            name="torch",
            path="sparseopt_torch.reader:TorchReader",
            produces="sparseopt:Network",
            summary="PyTorch modules with an example input, exported programs, .pt2 files",
            suffixes=(".pt2",),
            types=(
                "torch.nn.modules.module:Module",
                "torch.export.exported_program:ExportedProgram",
            ),
            requires=("torch",),
            remedy="pip install 'sparseopt[torch]'",
        ),
    ),
)

"""What this plugin offers; data only."""

from sparseopt.manifest import Manifest

MANIFEST = Manifest(name="closedness", api=1, summary="")

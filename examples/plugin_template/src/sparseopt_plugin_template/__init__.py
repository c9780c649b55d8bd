"""A third party's plugin for sparseopt."""

"""Quantities of the path-lifting of a network: norms, counts, bounds, the lifting itself."""

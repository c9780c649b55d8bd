"""Kronecker-sparse patterns, architectures and products."""

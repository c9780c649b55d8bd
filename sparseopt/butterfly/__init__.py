"""Kronecker-sparse patterns and products, and the nearest product to a matrix. Trusted."""

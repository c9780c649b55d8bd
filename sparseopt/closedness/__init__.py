"""Closedness of the set of products of matrices with given supports. Trusted."""

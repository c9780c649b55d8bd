"""Factorization with fixed supports: the nearest product of two factors whose zeros are given."""

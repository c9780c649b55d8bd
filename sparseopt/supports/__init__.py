"""Factorization with fixed supports: the nearest product of two factors. Trusted."""

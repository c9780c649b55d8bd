"""Butterfly factorization: the nearest product of Kronecker-sparse factors, with proven bounds."""

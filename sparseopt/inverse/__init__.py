"""Sparse linear inverse problems, and the proof that an answer is optimal. Trusted."""

"""Sparse recovery: regression with a sparsity penalty, and the proof that an answer is optimal."""

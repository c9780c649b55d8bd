"""Positive rescaling of hidden units: the symmetry of ReLU networks."""

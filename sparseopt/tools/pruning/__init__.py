"""Pruning by criteria that a rescaling of the network cannot change, and by those that it can."""

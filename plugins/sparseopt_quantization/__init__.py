"""Solvers of quantization: numbers of few bits whose product is near a given one."""

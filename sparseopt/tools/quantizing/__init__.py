"""Quantization of layers: of products of sparse factors, and of networks with ReLU."""

"""Directed acyclic graphs of layers over NumPy arrays: the layers to write one with. Trusted."""

from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Input, Permute, Relu, Reshape, Select
from sparseopt.networks.port import Port
from sparseopt.networks.window import AxisMap, AxisWindow, MaxPool, RankPool, Resample

"""Networks: directed acyclic graphs of layers over NumPy arrays."""

from sparseopt.network.builder import NetworkBuilder
from sparseopt.network.digraph import network_from_digraph
from sparseopt.network.layers import (
    LinearLayer,
    LinearPair,
    consecutive_linear_pairs,
    linear_layers,
)
from sparseopt.network.linear import Conv, ConvTranspose, Dense, Neuron, Scale
from sparseopt.network.loading import load_network
from sparseopt.network.network import Network, Node, chain
from sparseopt.network.neurons import NeuronGraph
from sparseopt.network.operator import (
    Add,
    Concat,
    Input,
    Operator,
    Permute,
    Relu,
    Reshape,
    Select,
)
from sparseopt.network.window import AxisMap, AxisWindow, MaxPool, RankPool, Resample

"""Networks: directed acyclic graphs of layers over NumPy arrays."""

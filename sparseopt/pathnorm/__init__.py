"""Path-norms, path costs, Lipschitz bounds and distances of networks. Trusted."""

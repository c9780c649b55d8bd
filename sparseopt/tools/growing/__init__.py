"""Whether weights grow when products with fixed supports are fitted to targets; not trusted."""

"""Which solvers and analyzers there are, which one answers, and running it."""

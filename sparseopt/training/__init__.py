"""Whether training with sparse weights has a best solution for all data. Trusted."""

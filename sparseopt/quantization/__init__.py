"""Numbers of few bits, and the best approximations by them. Trusted."""

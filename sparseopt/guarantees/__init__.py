"""What data determine of the parameters of a network, and how much a changed network can differ."""

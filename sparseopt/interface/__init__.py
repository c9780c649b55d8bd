"""What a plugin author implements, and what users are given back. Trusted."""

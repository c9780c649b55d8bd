"""The rules of proofs of closedness, each with its check. Trusted."""

"""Pictures of subjects, proofs and findings, with matplotlib."""

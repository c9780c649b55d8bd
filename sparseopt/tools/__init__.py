"""What users call on top. Not trusted: what it claims carries a certificate."""

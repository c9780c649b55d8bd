"""The check of a certificate, reading JSON, exact arithmetic and bounds of rounding. Trusted."""

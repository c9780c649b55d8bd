"""The report of an analysis, as text, JSON and HTML."""

"""The report of an analysis, as text, JSON and HTML."""

from sparseopt.report.report import Report, Skipped

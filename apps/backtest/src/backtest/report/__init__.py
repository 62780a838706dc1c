"""A result as text, page, chart and tables."""

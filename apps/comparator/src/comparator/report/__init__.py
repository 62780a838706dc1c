"""A comparison as text, page and tables."""

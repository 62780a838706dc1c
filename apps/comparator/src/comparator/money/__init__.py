"""Fees, funding, profit and equity of both sides."""

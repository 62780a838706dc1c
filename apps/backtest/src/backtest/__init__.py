"""Historical simulation on real data, with reports."""

"""Errors, quality, time ranges and texts that everything here shares."""

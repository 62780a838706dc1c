"""Whose accounts are captured: found by name, awaited where there is none yet."""

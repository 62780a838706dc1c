"""Readers of archives, bars and funding; one per form of file."""

"""Capture daemon: market and private streams to the database, gaps found and filled."""

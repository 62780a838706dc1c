"""Codes, identities, cursors and texts that everything here shares."""

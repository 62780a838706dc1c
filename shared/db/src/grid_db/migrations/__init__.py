"""Revisions of the tables. A revision says what it does by itself and never reads the models."""

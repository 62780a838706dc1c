"""What is kept: rows for the database, the state for the next start."""

"""What a run leaves: track, figures, session."""

"""What the streams missed, asked for again."""

"""Pure strategy library of the hedge-mode grid: events in, intents out."""

"""Archives from the exchange's public pages into the store."""

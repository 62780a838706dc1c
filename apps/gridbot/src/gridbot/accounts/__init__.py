"""The accounts of a bot: how they are started, their markets, how they are."""

"""The bot for those who look at it: status, metrics, live view."""

"""What the bot is told."""

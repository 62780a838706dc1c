"""What `gridbot.prove` needs besides the bot."""

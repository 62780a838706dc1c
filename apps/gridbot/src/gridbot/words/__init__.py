"""What the bot says of itself: snapshots, sentences, log lines; nothing secret."""

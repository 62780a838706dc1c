"""Commands from outside, by Telegram."""

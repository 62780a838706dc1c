"""The only code that talks to Bybit: pybit behind our own types."""

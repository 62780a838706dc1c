"""The WebSocket streams, alive across everything that breaks connections."""

"""The way to the wire: calls are limited, signed, written, and their answers read."""

"""What the exchange tells and what it is told, typed; nothing here reads a socket."""

"""What the exchange says of its contracts: saved, asked, or assumed."""

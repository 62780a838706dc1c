"""Both databases for every test here."""

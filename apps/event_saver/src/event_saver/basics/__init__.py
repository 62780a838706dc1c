"""Tasks, files and clocks that everything here shares."""

"""What every part needs: where the exchange is, its errors, rows of its answers, time, ids."""

"""Where the exchange publishes its trades."""

# SYMBOL/SYMBOLyyyy-mm-dd.csv.gz below it
PUBLIC_ARCHIVES = "https://public.bybit.com/trading"

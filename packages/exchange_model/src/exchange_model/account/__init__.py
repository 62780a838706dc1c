"""Wallet and hedged legs: profit, fees, margin, liquidation."""

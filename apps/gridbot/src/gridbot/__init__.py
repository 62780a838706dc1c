"""The live bot: accounts and strategies, live, shadow or paper."""

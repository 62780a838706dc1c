"""Why a trade has no partner, or another price."""

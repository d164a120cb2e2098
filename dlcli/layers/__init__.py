"""Building blocks of networks, for built-ins and plugins alike; torch only."""

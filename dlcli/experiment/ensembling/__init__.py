"""Making an ensemble: what a strategy may know, who carries out its plan, and what is kept."""

"""Who is told when something is wrong: rules over metrics, and what has become of each."""

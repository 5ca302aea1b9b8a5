"""Find out which classifier of rare events really is better."""

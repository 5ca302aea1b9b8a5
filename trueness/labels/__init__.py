"""Labels: which texts a run has wrong, which given labels are suspect, which rows to label next."""

"""What callers say: options in groups, and the checks of arguments."""

"""What callers configure: options in groups, and the checks of arguments."""

"""Networks as their papers describe them, each on its own, to be measured beside those that the program uses."""

"""Lists of prefixes from outside the log: where they come from, how they are read, who puts them in it."""

"""Sources and filters: log lines in, authentication events out."""

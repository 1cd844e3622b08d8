"""What leaves the log: followers that write what happened in a format, and hand it to a receiver."""

"""What this machine has and lacks for banstream, looked at piece by piece."""

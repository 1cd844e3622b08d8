"""fail2ban's language, measured by fail2ban's own code."""

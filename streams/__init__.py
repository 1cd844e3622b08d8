"""The decider and its hosts: events in, decisions out."""

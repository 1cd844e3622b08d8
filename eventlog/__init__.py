"""The event log: one contract, several logs."""

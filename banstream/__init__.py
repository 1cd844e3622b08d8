"""The command: configuration, wiring, and what a person sees. The only place that connects stages."""

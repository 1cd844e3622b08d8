"""The native filter format: a service's lines and what each means, in TOML, with the samples proving it."""

"""Records, wire codec, topics and errors: what the stages agree on. Pure, and frozen once released."""

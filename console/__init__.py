"""Web pages, REST and the bouncer API over the event log. Nothing stands here yet."""

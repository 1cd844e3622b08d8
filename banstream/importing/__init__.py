"""The way over: what others' files say, in banstream's words, and line by line what became of it.

| module | holds |
|---|---|
| `installation` | fail2ban's jail.conf, jail.local, jail.d and fail2ban.conf, merged as it does |
| `translation` | a jail of fail2ban's is one of ours; `filters`, `sources`, `actions`, `policy`, `spans` |
| `drafts` | the jails so far, as TOML |
| `remarks` | what became of each key, and where it stood |
| `checking` | the draft in the real loader: what that refuses is left out, and said |
| `held` | the bans in fail2ban's database |
| `crowdsec` | what CrowdSec's cscli lists |
| `commands` | bans and allows from elsewhere as commands of an operator, each once |
"""

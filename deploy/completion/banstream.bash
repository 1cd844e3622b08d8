# bash: read by bash-completion(7) from share/bash-completion/completions
eval "$(_BANSTREAM_COMPLETE=bash_source banstream)"

# fish: read from share/fish/vendor_completions.d
_BANSTREAM_COMPLETE=fish_source banstream | source

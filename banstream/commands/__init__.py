"""One module a group of commands; banstream.cli names them and loads only the one that is called."""

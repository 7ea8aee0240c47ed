"""Parts of the command lines: extras that may be missing, and a command whose first argument is a URL."""

"""The command line: its options, its commands, what they print, their exit codes."""

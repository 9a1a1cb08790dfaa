"""The people's windows: chat, console and command line."""

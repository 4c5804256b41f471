"""The project document: what the user made, every change to it as a command, and its file. No Qt."""

"""The program around the networks: the project document, jobs, the command line and the window."""

"""Networks, color, video in and out, and training: everything between the scan kernels and the application."""

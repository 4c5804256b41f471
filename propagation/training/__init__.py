"""Training: data, hints, losses, a resumable loop, and one recipe file per model."""

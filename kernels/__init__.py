"""Three-way linear scans in four directions, as SPN and TPN use them: one contract, a literal loop, fast backends."""

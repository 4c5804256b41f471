"""Pictures in and out: clips, image sequences and stills; the only package that imports PyAV."""

"""HDR from a few HDR key frames: the camera's response, the radiance that is carried, and where each is used."""

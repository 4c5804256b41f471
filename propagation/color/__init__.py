"""Colour mathematics, one file per standard; arrays in, arrays out, no file is read here."""

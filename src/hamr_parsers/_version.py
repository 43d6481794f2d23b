"""The version, in one place: packaging reads it from here, and so does `hamr_parsers.__version__`."""

__version__ = "0.1.0"

"""CNI plugins with a native core."""

__version__ = "0.2.0"

"""Plugins that follow another one in a chain."""

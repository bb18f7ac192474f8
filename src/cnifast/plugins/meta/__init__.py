"""Plugins that change what another plugin has attached, one module each."""

"""How one plugin runs another: finding it, executing it, or knowing that it is one of ours."""

"""What tests of behaviour share: private nodes, ways to call plugins, observers of the kernel."""

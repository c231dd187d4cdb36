"""What authors see: mistakes as data, random edits of the shipped folders, and whether following the help is
safe."""

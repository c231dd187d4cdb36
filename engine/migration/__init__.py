"""The way over from direct calls: scan a code base, run in shadow, switch by flags, and back at once."""

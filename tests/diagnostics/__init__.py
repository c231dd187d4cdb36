"""Diagnostics as data: files that say on each line what is wrong with it."""

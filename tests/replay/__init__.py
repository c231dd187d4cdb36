"""Replay and tune: recorded tasks decided again, held against a plain loop and against published figures."""

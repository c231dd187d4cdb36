"""Replay and tune, compared with a plain loop and with published figures."""

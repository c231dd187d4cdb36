"""Speed, as ratios taken in one run: machines are shared and noisy, so nothing here is a timed test."""

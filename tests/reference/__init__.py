"""A second, naive implementation of the policy language, for comparison with the compiled engine."""

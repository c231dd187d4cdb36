"""The policy language said a second time, naively: what the compiled engine is measured against."""

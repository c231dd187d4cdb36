"""Executes decisions: calls the chain's models in order, bounded by one deadline and paid for from the
ledger.

`requests` turns one decision into a result; `attempts` walks the chain. `planning` gathers the facts of a
decision, `runtime_facts` those that this machine knows. `policy_snapshot` is one policy in force with its
providers; `reload` replaces it by the next one. Only `settlement` ends a reservation, and how a failure is
met is read from one table, `engine.providers.errors.CONDUCT`.
"""

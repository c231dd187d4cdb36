"""A decision -> an answer: the chain walked, the money held and settled, and what happened written down.

`attempts` is where to start: it walks one decided chain for one request. What it may call now is `standing`'s to say, what it
may spend the ledger's (through `async_ledger`), how a failure is met is the taxonomy's (`engine.providers.errors.CONDUCT`).
`edition` is one policy in force with its providers, `live_facts` what a decision is told of this machine, `reload` how one edition
follows another, `decision_log` what stays. INVARIANT: nothing here calls a model outside the decided chain.
Clocks, chance and the environment are handed in by `engine.model_router`.
"""

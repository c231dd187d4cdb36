"""Recorded tasks, decided again: `engine replay`, and `engine tune`, which proposes a policy from outcomes.

`logs` and `columns` read a log in chunks. `encoding` turns each fact's column into the policy's partitions in
bulk. `pruning` joins rows that no rule can tell apart into one state and decides each state once.
`simulation` plays money and budget windows in the order of the rows. `tally` and `explanations` count what
happened and why; `report` holds the result, and `charts` and `page` draw it.

INVARIANT: a row is decided as the evaluator decides its facts, and charged as the ledger charges a call;
nothing here looks at the clock or calls a model. The dataframe library (extra `replay`) is imported in this
wing only.
"""

from importlib.util import find_spec

from engine.replay.errors import UnreadableLog

if find_spec("polars") is None or find_spec("numpy") is None:
    raise UnreadableLog("reading a log needs a dataframe library: pip install 'local-first-router[replay]'")

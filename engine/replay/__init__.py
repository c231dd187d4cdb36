"""A log of tasks -> what a policy would have done with them: `engine replay`, and `engine tune`, which
proposes one.

A log is read in chunks (`logs`, `columns`); each fact's column is cut into the policy's cells in bulk
(`coding`); rows that no rule can tell apart become one state, and each state is decided once (`narrowing`);
money and windows are played in order (`simulation`). What comes of it is counted (`counting`), said
(`report`) and drawn (`page`).

INVARIANT: a row is decided as the evaluator decides its facts, and charged as the ledger charges a call;
nothing here looks at the clock or calls a model. The dataframe library (extra `replay`) is imported in this
wing only.
"""

from importlib.util import find_spec

from engine.replay.errors import UnreadableLog

if find_spec("polars") is None or find_spec("numpy") is None:
    raise UnreadableLog("reading a log needs a dataframe library: pip install 'local-first-router[replay]'")

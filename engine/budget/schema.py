"""The ledger's tables, as the steps that lead from an empty database to the newest version.

The text is the common ground of SQLite and PostgreSQL; `{integer}`, `{strict}` are what differs. A released
step is never edited: a change is a further step, run forward only, in one transaction.

`ledger_attempts` holds one row for every attempt ever reserved; a row that has ended is never written again.
`ledger_corrections` holds what was learnt after an attempt had ended. `ledger_windows` holds the sums of both
by account and window, which is what admission reads; they can be recomputed from the rows at any time
(`usage.verify`). `ledger_events` holds what a person decided about the ledger, `ledger_densities` how many
tokens a byte models were seen to count (`learning`), and the `session_` tables what earlier calls of a
session left behind (`sessions`): keys of sessions and agents, never their names.
"""

APPLICATION_ID = 0x4C5F4C44

STEPS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE ledger_meta (
            name TEXT NOT NULL PRIMARY KEY,
            value TEXT NOT NULL
        ) {strict}
        """,
        """
        CREATE TABLE ledger_attempts (
            attempt_id TEXT NOT NULL PRIMARY KEY,
            decision_id TEXT NOT NULL,
            provider TEXT NOT NULL,
            model TEXT NOT NULL,
            is_local {integer} NOT NULL CHECK (is_local IN (0, 1)),
            state TEXT NOT NULL CHECK (state IN ('reserved', 'dispatched', 'settled', 'released',
                'forfeited')),
            strict_dispatch {integer} NOT NULL CHECK (strict_dispatch IN (0, 1)),
            reserved_micro_usd {integer} NOT NULL CHECK (reserved_micro_usd >= 0),
            charge_micro_usd {integer} NOT NULL DEFAULT 0 CHECK (charge_micro_usd >= 0),
            basis TEXT CHECK (basis IN ('measured', 'estimated', 'reserved')),
            served {integer} NOT NULL DEFAULT 0 CHECK (served IN (0, 1)),
            input_tokens {integer} NOT NULL DEFAULT 0 CHECK (input_tokens >= 0),
            output_tokens {integer} NOT NULL DEFAULT 0 CHECK (output_tokens >= 0),
            cached_input_tokens {integer} NOT NULL DEFAULT 0 CHECK (cached_input_tokens >= 0),
            cache_write_tokens {integer} NOT NULL DEFAULT 0 CHECK (cache_write_tokens >= 0),
            prices TEXT NOT NULL,
            alternative_model TEXT,
            alternative_prices TEXT,
            alternative_micro_usd {integer} CHECK (alternative_micro_usd >= 0),
            policy_digest TEXT NOT NULL,
            time_zone TEXT NOT NULL,
            day_start_s {integer} NOT NULL,
            month_start_s {integer} NOT NULL,
            reserved_us {integer} NOT NULL,
            lease_until_us {integer} NOT NULL,
            closed_us {integer},
            boot_id TEXT NOT NULL,
            reason TEXT,
            CHECK (state NOT IN ('reserved', 'dispatched', 'released') OR charge_micro_usd = 0),
            CHECK (state <> 'forfeited' OR charge_micro_usd = reserved_micro_usd),
            CHECK ((closed_us IS NULL) = (state IN ('reserved', 'dispatched')))
        ) {strict}
        """,
        """
        CREATE INDEX ledger_open_attempts ON ledger_attempts (lease_until_us)
        WHERE state IN ('reserved', 'dispatched')
        """,
        "CREATE INDEX ledger_attempts_by_window ON ledger_attempts (month_start_s, time_zone)",
        """
        CREATE TABLE ledger_corrections (
            attempt_id TEXT NOT NULL REFERENCES ledger_attempts (attempt_id),
            correction_key TEXT NOT NULL,
            delta_micro_usd {integer} NOT NULL,
            charge_micro_usd {integer} NOT NULL CHECK (charge_micro_usd >= 0),
            basis TEXT NOT NULL CHECK (basis IN ('measured', 'estimated')),
            served {integer} NOT NULL DEFAULT 0 CHECK (served IN (0, 1)),
            input_tokens {integer} NOT NULL DEFAULT 0 CHECK (input_tokens >= 0),
            output_tokens {integer} NOT NULL DEFAULT 0 CHECK (output_tokens >= 0),
            cached_input_tokens {integer} NOT NULL DEFAULT 0 CHECK (cached_input_tokens >= 0),
            cache_write_tokens {integer} NOT NULL DEFAULT 0 CHECK (cache_write_tokens >= 0),
            alternative_micro_usd {integer} CHECK (alternative_micro_usd >= 0),
            reason TEXT NOT NULL,
            corrected_us {integer} NOT NULL,
            PRIMARY KEY (attempt_id, correction_key)
        ) {strict}
        """,
        """
        CREATE TABLE ledger_windows (
            account_id TEXT NOT NULL,
            time_zone TEXT NOT NULL,
            start_s {integer} NOT NULL,
            end_s {integer} NOT NULL,
            opening_micro_usd {integer} NOT NULL DEFAULT 0 CHECK (opening_micro_usd >= 0),
            reserved_micro_usd {integer} NOT NULL DEFAULT 0 CHECK (reserved_micro_usd >= 0),
            settled_micro_usd {integer} NOT NULL DEFAULT 0 CHECK (settled_micro_usd >= 0),
            forfeited_micro_usd {integer} NOT NULL DEFAULT 0 CHECK (forfeited_micro_usd >= 0),
            corrected_micro_usd {integer} NOT NULL DEFAULT 0,
            admitted_limit_micro_usd {integer},
            breached {integer} NOT NULL DEFAULT 0 CHECK (breached IN (0, 1)),
            ever_breached {integer} NOT NULL DEFAULT 0 CHECK (ever_breached IN (0, 1)),
            PRIMARY KEY (account_id, time_zone, start_s),
            CHECK (start_s < end_s),
            CHECK (settled_micro_usd + forfeited_micro_usd + corrected_micro_usd >= 0),
            CHECK (
                admitted_limit_micro_usd IS NULL OR ever_breached = 1
                OR opening_micro_usd + reserved_micro_usd + settled_micro_usd + forfeited_micro_usd
                    + corrected_micro_usd <= admitted_limit_micro_usd
            )
        ) {strict}
        """,
        """
        CREATE TABLE ledger_clock_anchors (
            boot_id TEXT NOT NULL PRIMARY KEY,
            offset_us {integer} NOT NULL
        ) {strict}
        """,
    ),
    (
        """
        CREATE TABLE ledger_events (
            at_us {integer} NOT NULL,
            action TEXT NOT NULL,
            subject TEXT NOT NULL,
            detail TEXT NOT NULL
        ) {strict}
        """,
    ),
    (
        """
        CREATE TABLE ledger_densities (
            provider TEXT NOT NULL,
            model TEXT NOT NULL,
            direction TEXT NOT NULL CHECK (direction IN ('input', 'output')),
            seen {integer} NOT NULL CHECK (seen >= 0),
            largest_ppm {integer} NOT NULL CHECK (largest_ppm >= 0),
            PRIMARY KEY (provider, model, direction)
        ) {strict}
        """,
    ),
    (
        "ALTER TABLE ledger_attempts ADD COLUMN session_key TEXT",
        "ALTER TABLE ledger_attempts ADD COLUMN agent_keys TEXT",
        "ALTER TABLE ledger_attempts ADD COLUMN group_name TEXT",
        """
        CREATE INDEX ledger_attempts_by_session ON ledger_attempts (session_key)
        WHERE session_key IS NOT NULL
        """,
        """
        CREATE TABLE session_records (
            session_key TEXT NOT NULL PRIMARY KEY,
            calls {integer} NOT NULL CHECK (calls >= 0),
            first_us {integer} NOT NULL,
            last_us {integer} NOT NULL
        ) {strict}
        """,
        "CREATE INDEX session_records_by_last_use ON session_records (last_us)",
        """
        CREATE TABLE session_labels (
            session_key TEXT NOT NULL,
            label TEXT NOT NULL,
            at_us {integer} NOT NULL,
            decision_id TEXT,
            PRIMARY KEY (session_key, label)
        ) {strict}
        """,
        """
        CREATE TABLE session_agents (
            agent_key TEXT NOT NULL PRIMARY KEY,
            session_key TEXT NOT NULL,
            parent_key TEXT
        ) {strict}
        """,
        "CREATE INDEX session_agents_by_session ON session_agents (session_key)",
        """
        CREATE TABLE session_caches (
            session_key TEXT NOT NULL,
            provider TEXT NOT NULL,
            model TEXT NOT NULL,
            used_us {integer} NOT NULL,
            PRIMARY KEY (session_key, provider, model)
        ) {strict}
        """,
    ),
)

"""Forms of other languages that authors write, each with the form of this one."""

FOREIGN_STATEMENTS = {
    "deny": "forbid",
    "block": "forbid",
    "ban": "forbid",
    "set": "let",
    "define": "let",
    "assert": "prove",
}
FOREIGN_OPERATORS = {
    "=": "is",
    "==": "is",
    "===": "is",
    "!=": "is not",
    "!==": "is not",
    "<>": "is not",
    "≠": "is not",
    "=<": "<=",
    "≤": "<=",
    "=>": ">=",
    "≥": ">=",
}
FOREIGN_CONNECTIVES = {"&&": "and", "&": "and", "||": "or", "|": "or"}
FOREIGN_COMPARISONS = {"contains": "has", "includes": "has", "equals": "is", "matches": "is", "are": "is"}
FOREIGN_WHEN = ("if", "where", "while", "provided", "whenever")
FOREIGN_QUANTIFIERS = ("always", "all", "no", "none")
FOREIGN_COLONS = ("=", ":=", "->", "-", "=>")
FOREIGN_EQUALS = (":", ":=", "==", "is", "be", "as")

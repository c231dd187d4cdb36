"""The outside world, behind one small protocol.

`base` says what a provider is, `errors` what can go wrong and what may be done about it; `ollama`, `anthropic` and
`openai` speak to real servers through one guarded `transport`, `scripted` speaks to nobody. Importing this package,
or any module of it but `transport`, loads no HTTP library and no vendor SDK: they load when a provider first sends.
"""

"""The outside world, behind one small protocol.

`base` defines what a provider is and what it is asked with, `reply` what it answers, `errors` and `conduct`
what can go wrong and what may be done about it. `ollama`, `anthropic` and `openai` send to real servers
through one guarded `transport`; `scripted` sends nothing. Importing this package, or any module of it but
`transport`, loads no HTTP library and no vendor SDK: they load when a provider first sends.
`engine.provider_apis` lists the APIs.
"""

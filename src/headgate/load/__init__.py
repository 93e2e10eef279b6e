"""Who calls the API, and when: arrivals from traces, from a plan of a company's tools, from a ledger, or made up; and
what plays them against an address.

Everything that makes arrivals returns `Arrivals`: conversations in the order in which they begin.  `play` asks one turn
of each after the other, so a follow-up comes only after its answer.
"""

"""How a plan is carried out: plan, mine, pack, the ledger, and the two ways to run units."""

"""The ledger: what happened in every turn, written once and never lost."""

"""Alerts: rules as data, the evidence for and against each, and the state that outlives a restart."""

"""Dashboards and alerts as data: one record for a panel, one for an alert with its runbook."""

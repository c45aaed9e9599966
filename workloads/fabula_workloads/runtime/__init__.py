"""What every stage stands on: store, artifacts, ledger, progress, config in and result out. It knows no recipe."""

"""What was observed, as records: Jobs and pods, reports over time, what is late or held."""

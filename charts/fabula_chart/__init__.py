"""What is generated of the Helm chart: values with their schema and reference, CRDs, rights."""

"""All traffic with the Kubernetes API: reads into a cache, writes through one gate."""

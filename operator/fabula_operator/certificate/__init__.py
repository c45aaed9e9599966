"""The status server's certificate where neither cert-manager nor a person brings one."""

"""What an evaluation asks about: how samples are found, what each of them holds, and the set that is committed."""

"""What an answer is worth: versioned, pure metric functions, their statistics, their self-tests and the gates.

Profiles: `paper-v1` is the published definition with its defects, so that old figures can be reproduced; `v2` mends it.
"""

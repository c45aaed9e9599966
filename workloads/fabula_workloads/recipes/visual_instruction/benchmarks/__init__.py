"""Published benchmarks of streaming video as pure arithmetic: replies in, figures out.

Each has two profiles. `paper-v1` is the published scoring with its defects, so that published figures can be
reproduced; `v2` is mended: letters are parsed as letters, yes and no as words, and a question that stands twice
counts once.
"""

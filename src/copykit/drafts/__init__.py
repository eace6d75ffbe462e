"""From a completion to accepted copy: parse, measure, check, repair, score. Pure."""

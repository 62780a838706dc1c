"""Plain restatement of the older bot: the oracle for comparison tests.

Floats and polling on purpose: this is how the older bot behaves, kept apart from the strategy
library that it is compared with. Start at `step.check_pair`; `switches.LegacySwitches` names
the rules where the older behaviour is disputed.
"""

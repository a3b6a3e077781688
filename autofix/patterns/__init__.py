"""Every built-in rule, in tables by ecosystem. Order carries no meaning: judging weighs what matched."""

from autofix.patterns import javascript, jvm, machine, network, python
from autofix.patterns.rule import Rule

RULES: tuple[Rule, ...] = (
    *machine.RULES,
    *network.RULES,
    *python.RULES,
    *javascript.RULES,
    *jvm.RULES,
)

"""Every built-in rule, in tables by ecosystem. Order carries no meaning: judging weighs what matched."""

from autofix.patterns import (
    containers,
    databases,
    governance,
    javascript,
    jvm,
    machine,
    native,
    network,
    python,
    scanners,
    scripting,
)
from autofix.patterns.rule import Rule

RULES: tuple[Rule, ...] = tuple(
    rule
    for table in (
        machine,
        network,
        python,
        javascript,
        jvm,
        native,
        scripting,
        containers,
        databases,
        scanners,
        governance,
    )
    for rule in table.RULES
)

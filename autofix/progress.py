"""How the engine tells whoever watches what it is doing."""

from __future__ import annotations

from typing import Any, Protocol


class Progress(Protocol):
    """`event` is one of EVENTS, `facts` the objects it is about. Called from the engine's thread; must not raise."""

    def tell(self, event: str, /, **facts: Any) -> None: ...


# What each event carries.
EVENTS = {
    "workspace_ready": "run, workspace",
    "step_started": "step, purpose, command",
    "output": "text",
    "step_ended": "step, purpose, result",
    "classified": "step, signal",
    "decided": "step, signal, decision",
    "waiting": "seconds, reason",
    "trial_started": "candidate, number",
    "fixer_says": "message",
    "guarded": "verdict, diff",
    "trial_ended": "candidate, passed, reason",
    "fixed": "step, candidate, diff, proven_by, plan_delta",
    "blaming": "step",
    "reverted": "commit",
    "gate_opened": "gate",
    "rolled_back": "reason",
    "delivered": "where",
    "run_ended": "run",
}


class Silent:
    def tell(self, event: str, /, **facts: Any) -> None:
        pass

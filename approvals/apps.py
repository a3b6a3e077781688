from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    name = "approvals"
    verbose_name = "Approvals"

    def ready(self) -> None:
        from approvals.services import cancel_gates_of
        from metabuilder.builds.runs import on_questions_moot

        on_questions_moot.append(cancel_gates_of)

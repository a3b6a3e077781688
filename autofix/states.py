from django.db import models


class AttemptOutcome(models.TextChoices):
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ESCALATED = "escalated"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"
    GAVE_UP = "gave_up"
    SUPERSEDED = "superseded"

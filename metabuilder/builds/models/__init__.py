from metabuilder.builds.models.plans import ScaffoldPlan
from metabuilder.builds.models.runs import BuildRun, BuildStep, StepExecution, WorkerHeartbeat
from metabuilder.builds.models.tenancy import ApiToken, Membership, Tenant

__all__ = [
    "ApiToken",
    "BuildRun",
    "BuildStep",
    "Membership",
    "ScaffoldPlan",
    "StepExecution",
    "Tenant",
    "WorkerHeartbeat",
]

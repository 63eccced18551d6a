"""Job files: CSV, JSONL or YAML in, a plan of shots out. No torch here.

    name,template,product,surface,seed,count
    {product}-{seed},{product} on {surface},red mug,an oak table,7,2

Anything wrong in a file is found before anything is drawn. ``job.schema.json`` beside this says what a row
may hold (JSON Schema, draft 2020-12).
"""

from castmark.jobs.files import read_job
from castmark.jobs.plan import Job, PlannedShot, plan
from castmark.jobs.row import COLUMNS, JobRow

__all__ = ["COLUMNS", "Job", "JobRow", "PlannedShot", "plan", "read_job"]

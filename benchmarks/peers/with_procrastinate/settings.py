"""Settings for procrastinate."""

from broker.settings import *
from broker.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "procrastinate.contrib.django", "with_procrastinate"]
ENQUEUE = "with_procrastinate.tasks.enqueue"
